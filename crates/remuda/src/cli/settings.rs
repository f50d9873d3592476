//! Flags for settings, made from the table of keys.
//!
//! Purpose: every key has its flag, with the help that the table gives it; nothing
//! about a setting is written twice. Invariant: values are passed on as text; what they
//! mean is the configuration's business.

use clap::{Arg, ArgAction, ArgMatches, Command};
use remuda_config::{KEYS, Key, ROUTE_KEYS};

/// The settings that were given on the command line.
#[derive(Clone, Debug, Default)]
pub(crate) struct SettingFlags {
    pub(crate) settings: Vec<(&'static str, Vec<String>)>,
    pub(crate) route: Vec<(&'static str, Vec<String>)>,
}

/// Heading of the flags that apply to COMPONENT.
const ROUTE_HEADING: &str = "Route";

fn keys_with_flag(keys: &'static [Key]) -> impl Iterator<Item = &'static Key> {
    keys.iter().filter(|key| key.flag.is_some())
}

fn id(key: &Key, scope: &str) -> String {
    format!("{scope}{}", key.path)
}

fn argument(key: &'static Key, scope: &str, heading: &str) -> Option<Arg> {
    let flag = key.flag?;
    let default =
        if key.default.is_empty() { String::new() } else { format!(" [default: {}]", key.default) };
    let arg = Arg::new(id(key, scope))
        .long(flag)
        .visible_aliases(key.aliases.iter().copied())
        .value_name(key.value_name)
        .help(format!("{}{default}", key.help))
        .help_heading(heading.to_owned())
        .allow_hyphen_values(true)
        // A flag given twice that takes one value is refused with the other mistakes.
        .action(ArgAction::Append);
    Some(match key.short {
        Some(short) => arg.short(short),
        None => arg,
    })
}

/// `workers.count` is under "Workers", `bind` under "Server".
fn heading(key: &Key) -> String {
    let section = key.path.split_once('.').map_or("server", |(section, _)| section);
    let mut letters = section.chars();
    let first = letters.next().map(|letter| letter.to_ascii_uppercase());
    first.into_iter().chain(letters).collect()
}

impl clap::Args for SettingFlags {
    fn augment_args(command: Command) -> Command {
        let settings = keys_with_flag(KEYS).filter_map(|key| argument(key, "", &heading(key)));
        let route =
            keys_with_flag(ROUTE_KEYS).filter_map(|key| argument(key, "route.", ROUTE_HEADING));
        command.args(settings).args(route)
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl clap::FromArgMatches for SettingFlags {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let given = |keys, scope: &str| {
            let values = |key: &'static Key| {
                let values = matches.get_many::<String>(&id(key, scope))?;
                Some((key.path, values.cloned().collect()))
            };
            keys_with_flag(keys).filter_map(values).collect()
        };
        Ok(Self { settings: given(KEYS, ""), route: given(ROUTE_KEYS, "route.") })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory as _, Parser as _};

    use crate::cli::{Cli, Command};

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn flags_and_their_aliases_reach_their_keys() {
        let line =
            "remuda serve a.wasm -w 3 --timeout-keep-alive 5 -b :1 -b :2 --env A=1 --env B=2";
        let cli = Cli::try_parse_from(line.split(' ')).expect("valid");
        let Command::Serve(args) = cli.command else { panic!("serve was meant") };
        let settings = args.settings.settings;
        let of = |path| settings.iter().find(|(key, _)| *key == path).map(|(_, values)| values);
        assert_eq!(of("workers.count"), Some(&vec!["3".to_owned()]));
        assert_eq!(of("http.keep_alive_timeout"), Some(&vec!["5".to_owned()]));
        assert_eq!(of("bind"), Some(&vec![":1".to_owned(), ":2".to_owned()]));
        let env = ("env", vec!["A=1".to_owned(), "B=2".to_owned()]);
        assert_eq!(args.settings.route, vec![env]);
    }
}
