//! `stoa data access-list`: lists of people, whom assets name when they say who may order.

use crate::{progress::progress, wallet::WalletOptions};
use alloy_primitives::Address;
use clap::Subcommand;
use eyre::Result;
use serde_json::json;
use stoa_client::plain;
use stoa_data::sale::List;

/// Commands on lists of people.
#[derive(Subcommand)]
pub(crate) enum ListCommand {
    /// Make a list with these people on it. Prints its address, which --allow and --deny of `stoa data publish` and `edit` take as they
    /// take an account's.
    #[command(after_help = "Example: stoa data access-list new 0x7099… 0x3c44… --name Hospitals --wallet me.key")]
    New {
        /// Who is on it; more can be added later. Public.
        #[arg(value_name = "ADDRESS", value_parser = crate::typed::address)]
        people: Vec<Address>,
        /// What it is called. Public.
        #[arg(long, value_name = "TEXT", default_value = "People")]
        name: String,
    },
    /// Put people on a list of yours: every asset that names it lets them order from then on, or keeps them out.
    #[command(after_help = "Example: stoa data access-list add 0x5fbd… 0x90f7… --wallet me.key")]
    Add {
        /// The list.
        #[arg(value_parser = crate::typed::address)]
        list: Address,
        /// Whom.
        #[arg(value_name = "ADDRESS", required = true, value_parser = crate::typed::address)]
        people: Vec<Address>,
    },
    /// Take people off a list of yours: where it lets people order, their orders are of no use from then on.
    #[command(after_help = "Example: stoa data access-list remove 0x5fbd… 0x90f7… --wallet me.key")]
    Remove {
        /// The list.
        #[arg(value_parser = crate::typed::address)]
        list: Address,
        /// Whom.
        #[arg(value_name = "ADDRESS", required = true, value_parser = crate::typed::address)]
        people: Vec<Address>,
    },
    /// Show who is on a list, or which lists are yours.
    #[command(
        after_help = "Examples: stoa data access-list show 0x5fbd…\n          stoa data access-list show --wallet me.key"
    )]
    Show {
        /// The list; yours if not given.
        #[arg(value_parser = crate::typed::address)]
        list: Option<Address>,
    },
}

/// Runs one of them.
pub(crate) async fn access_list(command: ListCommand, wallet: &WalletOptions, json: bool) -> Result<()> {
    match command {
        ListCommand::New { people, name } => {
            let account = wallet.open().await?;
            let bar = progress("making the list");
            let made = List::make(&account, &name, &people).await;
            bar.finish_and_clear();
            let made = made?;
            match json {
                true => println!("{}", json!(made)),
                false => println!("{}\n{}", made.list, on(made.places)),
            }
        }
        ListCommand::Add { list, people } => {
            let account = wallet.open().await?;
            let of = List::at(account.client(), list).await?;
            let bar = progress("putting people on the list");
            let put = of.put(&account, &people).await;
            bar.finish_and_clear();
            said(list, "added", &put?, "all of them are on it already", json);
        }
        ListCommand::Remove { list, people } => {
            let account = wallet.open().await?;
            let of = List::at(account.client(), list).await?;
            let bar = progress("taking people off the list");
            let off = of.take_off(&account, &people).await;
            bar.finish_and_clear();
            said(list, "removed", &off?, "none of them is on it", json);
        }
        ListCommand::Show { list: Some(list) } => show(list, wallet, json).await?,
        ListCommand::Show { list: None } => own(wallet, json).await?,
    }
    Ok(())
}

fn on(places: u64) -> String {
    match places {
        0 => "nobody is on it".to_owned(),
        1 => "1 account is on it".to_owned(),
        places => format!("{places} accounts are on it"),
    }
}

/// Says whom a change is about.
fn said(list: Address, what: &str, people: &[Address], nobody: &str, json: bool) {
    match json {
        true => println!("{}", json!({ "list": list, what: people })),
        false if people.is_empty() => println!("nothing is changed: {nobody}"),
        false => people.iter().for_each(|account| println!("{what} {account}")),
    }
}

async fn show(list: Address, wallet: &WalletOptions, json: bool) -> Result<()> {
    let (client, bar) = (wallet.client(), progress("asking for the list"));
    let told = |done: u64, of: u64| bar.set_message(format!("{done} of {of} places"));
    let shown = async {
        let is = List::at(&client, list).await?;
        let people = is.people(&client, &told).await?;
        Ok::<_, eyre::Report>((is, people))
    };
    let shown = shown.await;
    bar.finish_and_clear();
    let (List { list, name, owner, transferable, .. }, people) = shown?;
    if json {
        let said =
            json!({ "list": list, "name": name, "owner": owner, "transferable": transferable, "people": people });
        println!("{said}");
        return Ok(());
    }
    println!("{}, list {list} of {owner}", plain(&name));
    if transferable {
        println!("places on it can be passed on: no asset takes it");
    }
    println!("{}", on(people.len() as u64));
    people.iter().for_each(|account| println!("  {account}"));
    Ok(())
}

async fn own(wallet: &WalletOptions, json: bool) -> Result<()> {
    let account = wallet.open().await?;
    let bar = progress("looking for your lists");
    let told = |done: u64, of: u64| bar.set_message(format!("looking at block {done} of {of}"));
    let lists = List::of_owner(account.client(), account.address(), &told).await;
    bar.finish_and_clear();
    let lists = lists?;
    match json {
        true => println!("{}", json!({ "lists": lists })),
        false if lists.is_empty() => println!("This account has no list (`stoa data access-list new` makes one)."),
        false => lists.iter().for_each(|is| println!("{}  {}, {}", is.list, plain(&is.name), on(is.places))),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Typed {
        #[command(subcommand)]
        command: ListCommand,
    }

    fn typed(words: &[&str]) -> std::result::Result<ListCommand, String> {
        let typed = Typed::try_parse_from([&["access-list"][..], words].concat());
        typed.map(|typed| typed.command).map_err(|error| error.to_string())
    }

    #[test]
    fn lists_and_people_are_addresses_and_whoever_is_to_be_put_on_one_is_named() {
        const LIST: &str = "0x5fbdb2315678afecb367f032d93f642f64180aa3";
        const BOB: &str = "0x70997970c51812dc3a010c7d01b50e0d17dc79c8";
        assert!(matches!(typed(&["new"]), Ok(ListCommand::New { people, .. }) if people.is_empty()));
        assert!(matches!(typed(&["show"]), Ok(ListCommand::Show { list: None })));
        assert!(matches!(typed(&["add", LIST, BOB, LIST]), Ok(ListCommand::Add { people, .. }) if people.len() == 2));
        for wrong in [&["add", LIST][..], &["remove", LIST], &["add", LIST, "bob"], &["show", "people.csv"]] {
            assert!(typed(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn how_many_are_on_a_list_is_said_in_words() {
        assert_eq!([0, 1, 2].map(on), ["nobody is on it", "1 account is on it", "2 accounts are on it"]);
    }
}
