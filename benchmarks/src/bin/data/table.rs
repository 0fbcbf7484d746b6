//! Patients: as many as are wanted, drawn from those of four hospitals (data/heart) with replacement.

use std::{fs, io, path::Path};
use stoa_benchmarks::random;

const HOSPITALS: [&str; 4] = [
    include_str!("../../../../data/heart/cleveland.csv"),
    include_str!("../../../../data/heart/hungary.csv"),
    include_str!("../../../../data/heart/switzerland.csv"),
    include_str!("../../../../data/heart/va.csv"),
];

/// Rows with the line that names the columns.
pub struct Table {
    header: &'static str,
    rows: Vec<&'static str>,
}

impl Table {
    /// So many rows, the same ones each time.
    pub fn new(count: usize) -> Self {
        let header = HOSPITALS[0].lines().next().unwrap_or_default();
        let patients: Vec<_> = HOSPITALS.iter().flat_map(|table| table.lines().skip(1)).collect();
        let mut random = random();
        let rows = (0..count).map(|_| patients[random() as usize % patients.len()]).collect();
        Self { header, rows }
    }

    /// All rows as CSV.
    pub fn whole(&self) -> String {
        self.part(0, 1)
    }

    /// The rows of one of so many owners, to whom they are dealt out in turn.
    pub fn part(&self, owner: usize, owners: usize) -> String {
        let rows = self.rows.iter().skip(owner).step_by(owners);
        rows.fold(format!("{}\n", self.header), |text, row| text + row + "\n")
    }

    /// Writes the tables of so many owners into a folder, one file each, named by their numbers.
    pub fn deal(&self, owners: usize, folder: &Path) -> io::Result<()> {
        fs::create_dir_all(folder)?;
        (0..owners).try_for_each(|owner| fs::write(folder.join(format!("{owner:02}.csv")), self.part(owner, owners)))
    }
}
