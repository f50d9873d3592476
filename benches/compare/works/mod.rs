//! What servers are given to do, a file each.
//!
//! A work chooses its contenders, measures one at a time, and says what its figures mean;
//! [rounds](crate::rounds) does the rest.

mod beside;
mod burn;
mod hung;
mod knee;
mod memory;
mod overload;
pub(crate) mod plain;
mod reload;
mod start;

use anyhow::Result;
use clap::ValueEnum;
use plain::Plain;

use crate::{bench::Bench, report::Table};

/// What is asked of servers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Work {
    /// 14 bytes of text, 32 connections
    Text,
    /// 10 KiB of JSON made for each request, 32 connections
    Json,
    /// 1 MiB in pieces of 64 KiB, 8 connections
    Stream,
    /// 64 KiB there and back, 16 connections
    Echo,
    /// An upstream that takes 50 ms, 200 connections
    Wait,
    /// Routes beside guests that burn
    Beside,
    /// Routes beside one whose upstream never answers
    Hung,
    /// Ten times what a server can do, and whether it recovers
    Overload,
    /// From the start of a server to its first answer
    Start,
    /// What workers and waiting requests take
    Memory,
    /// Reloads while requests come
    Reload,
    /// Throughput and latency of Remuda over its number of workers
    Knee,
    /// As text, with components that do nothing else
    Hello,
    /// Routes beside password hashes, by each of Remuda's executors
    Hash,
}

impl Work {
    /// What is measured when nothing else is said: all but variants of others.
    pub(crate) fn usual() -> Vec<Self> {
        let variants = [Self::Hello, Self::Hash];
        Self::value_variants().iter().copied().filter(|work| !variants.contains(work)).collect()
    }

    /// Measures it.
    ///
    /// # Errors
    /// When no contender can even be described; one that fails is told in the table.
    pub(crate) async fn run(self, bench: &Bench) -> Result<Table> {
        Ok(match self {
            Self::Text => plain::run(bench, Plain::Text).await,
            Self::Json => plain::run(bench, Plain::Json).await,
            Self::Stream => plain::run(bench, Plain::Stream).await,
            Self::Echo => plain::run(bench, Plain::Echo).await,
            Self::Wait => plain::run(bench, Plain::Wait).await,
            Self::Hello => plain::run(bench, Plain::Hello).await,
            Self::Beside => beside::run(bench).await?,
            Self::Hash => beside::run_hashes(bench).await?,
            Self::Hung => hung::run(bench).await?,
            Self::Overload => overload::run(bench).await,
            Self::Start => start::run(bench).await,
            Self::Memory => memory::run(bench).await,
            Self::Reload => reload::run(bench).await,
            Self::Knee => knee::run(bench).await,
        })
    }
}
