//! What this machine has for jobs, as Ocean's clients are told of it: one environment.

use super::super::Refusal;
use serde_json::{Value, json};
use std::{fs, thread};

/// Programs of WebAssembly that run at a time, and processes. These run beside no other process, the node's own included.
pub(super) const AT_ONCE: usize = 2;
pub(super) const PROCESSES: usize = 1;

/// For how many seconds a program may run.
const LONGEST: u64 = 3600;

/// GiB of files that a program works with, which are held in memory.
const MOST_FILES: u64 = 1;

/// What a machine has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Machine {
    cpus: u64,
    /// GiB.
    memory: u64,
}

/// What a job may use of it: processors, and GiB of memory and of files.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Share {
    /// Processors.
    pub cpu: f64,
    /// GiB of memory.
    pub ram: f64,
    /// GiB of files to work with.
    pub disk: f64,
}

impl Share {
    /// As clients ask for it.
    pub(super) fn told(self) -> [(&'static str, f64); 3] {
        let Self { cpu, ram, disk } = self;
        [("cpu", cpu), ("ram", ram), ("disk", disk)]
    }
}

impl Machine {
    /// This one.
    pub(super) fn this() -> Self {
        let said = fs::read_to_string("/proc/meminfo").unwrap_or_default();
        let kib =
            said.lines().find_map(|line| line.strip_prefix("MemTotal:")?.trim().strip_suffix(" kB")?.parse().ok());
        let memory = kib.map_or(1, |kib: u64| (kib >> 20).max(1));
        Self { cpus: thread::available_parallelism().map_or(1, |count| count.get() as u64), memory }
    }

    /// Least and most of each that a job has. Three may run at a time, beside what else the machine does.
    fn bounds(self) -> [(&'static str, u64, u64); 3] {
        let memory = (self.memory / (2 * AT_ONCE as u64)).max(1);
        [("cpu", 1, self.cpus), ("ram", 1, memory), ("disk", 0, MOST_FILES)]
    }

    /// What a job gets that asks for this; the least of what it does not ask for.
    ///
    /// # Errors
    ///
    /// [`Refusal::Malformed`] if there is not so much.
    pub(super) fn share(self, asked: &Value) -> Result<Share, Refusal> {
        let share = |(name, least, most): (&str, u64, u64)| {
            let asked = asked.as_array().into_iter().flatten().find(|asked| asked["id"] == name);
            let amount = asked.and_then(|asked| asked["amount"].as_f64()).unwrap_or(0.0).max(least as f64);
            if amount > most as f64 {
                return Err(Refusal::Malformed(format!(
                    "Not enough {name} resources. Requested {amount}, but max is {most}"
                )));
            }
            Ok(amount)
        };
        let [cpu, ram, disk] = self.bounds();
        Ok(Share { cpu: share(cpu)?, ram: share(ram)?, disk: share(disk)? })
    }

    /// For how many seconds a job runs that asks for so many.
    pub(super) const fn seconds(asked: u64) -> u64 {
        if asked == 0 || asked > LONGEST { LONGEST } else { asked }
    }

    /// The environment, but for what depends on the node and its jobs. `used` is what jobs have of it now.
    pub(super) fn environment(self, used: &[Share]) -> Value {
        let total = [self.cpus, self.memory, MOST_FILES * (AT_ONCE + PROCESSES) as u64];
        let resource = |(at, (name, least, most)): (usize, (&str, u64, u64))| {
            let in_use = used.iter().fold(0.0, |sum, share| sum + share.told()[at].1);
            json!({ "id": name, "type": name, "total": total[at], "min": least, "max": most, "inUse": in_use })
        };
        let resources: Vec<_> = self.bounds().into_iter().enumerate().map(resource).collect();
        let open = json!({ "addresses": [], "accessLists": null });
        json!({
            "platform": { "architecture": std::env::consts::ARCH, "os": std::env::consts::OS },
            "minJobDuration": 1, "maxJobDuration": LONGEST, "enableNetwork": false, "access": open, "resources": resources,
            "free": { "maxJobDuration": LONGEST, "access": open, "resources": resources, "allowImageBuild": false },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MACHINE: Machine = Machine { cpus: 4, memory: 15 };

    #[test]
    fn a_job_gets_what_it_asks_for_if_there_is_so_much() {
        let asked = |id: &str, amount: f64| json!([{ "id": id, "amount": amount }]);
        let least = Share { cpu: 1.0, ram: 1.0, disk: 0.0 };
        // What is said of the environment's own resources asks for nothing.
        for nothing in [Value::Null, json!([]), json!({}), json!([{ "id": "cpu", "max": 9 }, 1]), asked("gpu", 9.0)] {
            assert_eq!(MACHINE.share(&nothing), Ok(least), "{nothing}");
        }
        assert_eq!(MACHINE.share(&asked("cpu", 4.0)), Ok(Share { cpu: 4.0, ..least }));
        assert_eq!(MACHINE.share(&asked("ram", 3.0)), Ok(Share { ram: 3.0, ..least }));
        assert_eq!(MACHINE.share(&asked("ram", -3.0)), Ok(least));
        for (id, amount) in [("cpu", 5.0), ("ram", 3.1), ("disk", 2.0), ("cpu", 1e300)] {
            assert!(matches!(MACHINE.share(&asked(id, amount)), Err(Refusal::Malformed(why)) if why.contains(id)));
        }
        assert_eq!([0, 60, LONGEST, u64::MAX].map(Machine::seconds), [LONGEST, 60, LONGEST, LONGEST]);
    }

    #[test]
    fn an_environment_says_what_there_is_and_what_is_used() {
        let used = [Share { cpu: 2.0, ram: 1.0, disk: 0.0 }, Share { cpu: 1.0, ram: 2.0, disk: 1.0 }];
        let said = MACHINE.environment(&used);
        let cpu = json!({ "id": "cpu", "type": "cpu", "total": 4, "min": 1, "max": 4, "inUse": 3.0 });
        assert_eq!(said["resources"][0], cpu);
        assert_eq!((&said["resources"][1]["max"], &said["resources"][2]["inUse"]), (&json!(3), &json!(1.0)));
        let this = Machine::this();
        assert!(this.cpus > 0 && this.memory > 0);
    }
}
