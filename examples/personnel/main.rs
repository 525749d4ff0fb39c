//! Makes believable synthetic personnel files, always the same for the same seed: nobody in them is real.
//!
//! ```text
//! cargo run --release --example personnel -- --count 500 --seed 2023 --bad 0.12 --portraits 4 --with-portrait 0.9 \
//!     --units units.csv --population population.ndjson --labels labels.csv > personnel.csv
//! ```
//!
//! This command made the files in `examples/sample`.
//!
//! [`person`] draws a person, [`faults`] spoils some of the rows, [`portrait`] gives them faces, [`words`] the names.

mod faults;
mod person;
#[path = "../population_registry/registry/person.rs"]
#[allow(dead_code)]
mod population;
mod portrait;
mod words;

use std::error::Error;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use clap::{Parser, ValueEnum};
use officials_card::model::catalogue::Catalogue;
use serde_json::{Map, Value, json};

use faults::{KINDS, Spoil};
use person::{COLUMNS, Dice, Person, Town, units};
use population::{NameLine, PersonLine};
use words::{JOBS, POSITIONS};

/// Makes a synthetic personnel file on standard output.
#[derive(Parser)]
struct Arguments {
    /// How many people.
    #[arg(long, default_value_t = 500)]
    count: u64,
    /// The same seed gives the same people.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Share of rows that have a fault, 0 to 1.
    #[arg(long, default_value_t = 0.0)]
    bad: f64,
    /// Form of the file.
    #[arg(long, value_enum, default_value = "csv")]
    format: Format,
    /// How many different portraits; 0 gives everybody one of their own.
    #[arg(long, default_value_t = 64)]
    portraits: u32,
    /// Share of people with a portrait, 0 to 1.
    #[arg(long, default_value_t = 1.0)]
    with_portrait: f64,
    /// Also write the units of levels 2 and 3 here (CSV).
    #[arg(long)]
    units: Option<PathBuf>,
    /// Also write what the simulated population database knows here (NDJSON).
    #[arg(long)]
    population: Option<PathBuf>,
    /// Also write synthetic labels of the Ministry's code lists here (CSV).
    #[arg(long)]
    labels: Option<PathBuf>,
}

#[derive(Clone, Copy, PartialEq, ValueEnum)]
enum Format {
    Csv,
    Ndjson,
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments = Arguments::parse();
    if let Some(path) = &arguments.units {
        write_units(path)?;
    }
    if let Some(path) = &arguments.labels {
        write_labels(path)?;
    }
    let mut registry = match &arguments.population {
        Some(path) => Some(BufWriter::new(File::create(path)?)),
        None => None,
    };
    let faces = (0..arguments.portraits.clamp(1, 240)).map(portrait::jpeg).collect::<Result<Vec<_>, _>>()?;
    let encoded: Vec<_> = faces.iter().map(|face| portrait::base64(face, None)).collect();
    let mut sheet = Sheet::new(arguments.format, io::stdout().lock())?;
    let town = Town::new(arguments.seed);
    let mut spoilt = 0;
    for number in 1..=arguments.count {
        let mut dice = town.dice(number);
        let bad = chance(&mut dice, arguments.bad);
        let face = dice.below(u32::try_from(faces.len())?) as usize;
        let picture = match (chance(&mut dice, arguments.with_portrait), arguments.portraits) {
            (false, _) => String::new(),
            (true, 0) => portrait::base64(&faces[face], Some(number)),
            (true, _) => encoded[face].clone(),
        };
        let mut person = town.person(number, &mut dice, picture);
        if let Some(registry) = &mut registry {
            know(registry, &person, &mut dice)?;
        }
        let spoil = bad.then(|| KINDS[spoilt % KINDS.len()]);
        spoilt += usize::from(bad);
        if let Some(spoil) = spoil {
            spoil.apply(&mut person);
        } else {
            flag(&mut person, &mut dice);
        }
        sheet.row(&person, spoil)?;
    }
    sheet.finish()?;
    registry.as_mut().map_or(Ok(()), Write::flush)?;
    Ok(())
}

fn chance(dice: &mut Dice, share: f64) -> bool {
    f64::from(dice.below(1_000_000)) < share * 1_000_000.0
}

/// What is odd but no fault, now and then: a number that tells another sex, a birth date known by its year only.
fn flag(person: &mut Person, dice: &mut Dice) {
    match dice.below(100) {
        0 => *person.cell("gender") = if person.woman { "1" } else { "2" }.into(),
        1 => person.cell("date_of_birth").truncate(4),
        _ => {}
    }
}

/// The population database knows most people, three in a hundred otherwise, and two not at all.
fn know(registry: &mut impl Write, person: &Person, dice: &mut Dice) -> Result<(), Box<dyn Error>> {
    let number = COLUMNS.iter().position(|column| *column == "personal_id_number").map(|at| person.cells[at].clone());
    let [family, middle, given] = person.name;
    let mut message = PersonLine {
        personal_id_number: number.unwrap_or_default(),
        name: NameLine { family: family.to_uppercase(), middle: middle.to_uppercase(), given: given.to_uppercase() },
        date_of_birth: person.born.clone(),
        gender: Some(if person.woman { "female" } else { "male" }.into()),
        ..PersonLine::default()
    };
    match dice.below(100) {
        0 | 1 => return Ok(()),
        2 => message.name.given = "KHÁC".into(),
        3 => {
            let day = if &message.date_of_birth[4..6] == "02" { "28" } else { "29" };
            message.date_of_birth.replace_range(6.., day);
        }
        4 => message.gender = Some(if person.woman { "male" } else { "female" }.into()),
        _ => {}
    }
    serde_json::to_writer(&mut *registry, &message)?;
    registry.write_all(b"\n")?;
    Ok(())
}

/// Writes rows in one of the two forms.
enum Sheet<W: Write> {
    Csv(Box<csv::Writer<W>>),
    Ndjson(BufWriter<W>),
}

impl<W: Write> Sheet<W> {
    fn new(format: Format, output: W) -> Result<Self, Box<dyn Error>> {
        if format == Format::Ndjson {
            return Ok(Self::Ndjson(BufWriter::with_capacity(1 << 20, output)));
        }
        let mut writer = csv::WriterBuilder::new().flexible(true).buffer_capacity(1 << 20).from_writer(output);
        writer.write_record(COLUMNS)?;
        Ok(Self::Csv(Box::new(writer)))
    }

    fn row(&mut self, person: &Person, spoil: Option<Spoil>) -> Result<(), Box<dyn Error>> {
        // "Đào" in a code page of the nineties.
        const NOT_UTF8: &[u8] = b"\xa7\xb5o";
        match self {
            Self::Csv(writer) => {
                for (column, cell) in COLUMNS.iter().zip(&person.cells) {
                    let not_utf8 = matches!(spoil, Some(Spoil::Encoding)) && *column == "full_name";
                    writer.write_field(if not_utf8 { NOT_UTF8 } else { cell.as_bytes() })?;
                }
                if let Some(Spoil::Width) = spoil {
                    writer.write_field("x")?;
                }
                writer.write_record(None::<&[u8]>)?;
            }
            Self::Ndjson(writer) => {
                match spoil {
                    Some(Spoil::Width) => writer.write_all(b"{\"full_name\":")?,
                    Some(Spoil::Encoding) => writer.write_all(NOT_UTF8)?,
                    _ => serde_json::to_writer(&mut *writer, &object(person)?)?,
                }
                writer.write_all(b"\n")?;
            }
        }
        Ok(())
    }

    fn finish(self) -> io::Result<()> {
        match self {
            Self::Csv(mut writer) => writer.flush(),
            Self::Ndjson(mut writer) => writer.flush(),
        }
    }
}

/// The row as an object: columns of lists become arrays of objects under the interface's name.
fn object(person: &Person) -> Result<Map<String, Value>, Box<dyn Error>> {
    let catalogue = Catalogue::current();
    let mut object = Map::new();
    for (column, cell) in COLUMNS.iter().zip(&person.cells).filter(|(_, cell)| !cell.is_empty()) {
        let (code, entry) = column.trim_end_matches(']').split_once('[').unwrap_or((column, "1"));
        let list = catalogue.field(code).and_then(|field| field.list);
        let Some(list) = list.map(|list| catalogue.lists()[list].name.clone()) else {
            let value = serde_json::from_str(cell).ok().filter(Value::is_array);
            object.insert(code.into(), value.unwrap_or_else(|| json!(cell)));
            continue;
        };
        if let Value::Array(entries) = object.entry(list).or_insert_with(|| json!([])) {
            let at = entry.parse::<usize>()? - 1;
            while entries.len() <= at {
                entries.push(json!({}));
            }
            entries[at][code] = json!(cell);
        }
    }
    Ok(object)
}

fn write_units(path: &Path) -> Result<(), Box<dyn Error>> {
    let mut writer = csv::Writer::from_path(path)?;
    writer.write_record(["code", "name"])?;
    for unit in units() {
        writer.write_record([unit.code, unit.name])?;
    }
    Ok(writer.flush()?)
}

fn write_labels(path: &Path) -> Result<(), Box<dyn Error>> {
    let mut writer = csv::Writer::from_path(path)?;
    writer.write_record(["list", "code", "label_vi"])?;
    let lists = [("MOHA.VITRIVIECLAM", JOBS.as_slice()), ("MOHA.CHUCVU", POSITIONS.as_slice())];
    for (list, (code, label)) in lists.into_iter().flat_map(|(list, all)| all.iter().map(move |one| (list, *one))) {
        writer.write_record([list, code, label])?;
    }
    Ok(writer.flush()?)
}
