//! `perpro writes`

use crate::cluster::Write;

#[derive(clap::Args)]
pub(crate) struct Args {}

impl Args {
    pub(crate) fn run(self) -> anyhow::Result<()> {
        let Self {} = self;
        println!("{:<12}{:<20}{:<10}RESOURCE", "PROCESS", "WRITE", "VERB");
        for write in Write::ALL {
            for grant in write.grants() {
                println!("{:<12}{:<20}{:<10}{}", grant.process, write.name(), grant.verb, grant.resource);
            }
        }
        Ok(())
    }
}
