//! A component that serves no HTTP, only a command line: a server must refuse it.

fn main() {
    println!("not a server");
}
