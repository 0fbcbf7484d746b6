//! What looks as if it were about a person: by what a column is called, and by what its values look like.
//!
//! These are hints, for the owner who publishes: that there is none does not make data anonymous.

use super::table::{self, Kind};
use icu_normalizer::DecomposingNormalizerBorrowed;
use serde::{Deserialize, Serialize};
use std::fmt;

/// What it looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Personal {
    /// Names of people.
    Name,
    /// E-mail addresses.
    Email,
    /// Telephone numbers.
    Phone,
    /// Numbers that a state, an insurance or a hospital gives a person.
    Identity,
    /// Dates of birth.
    Birth,
    /// Where somebody lives, or is.
    Address,
    /// Internet addresses.
    Ip,
    /// Bank accounts.
    Account,
    /// Payment cards.
    Card,
}

impl fmt::Display for Personal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Name => "names",
            Self::Email => "e-mail addresses",
            Self::Phone => "telephone numbers",
            Self::Identity => "numbers of persons",
            Self::Birth => "dates of birth",
            Self::Address => "places where people live or are",
            Self::Ip => "internet addresses",
            Self::Account => "bank accounts",
            Self::Card => "payment cards",
        })
    }
}

/// A column that looks as if it were about people. Never a value of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Warning {
    /// In which file of a folder, the first of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// The column; none of a text.
    pub column: String,
    /// What it looks like.
    pub kind: Personal,
    /// How many of its values look like it.
    pub values: u64,
    /// Whether it is called like it.
    pub by_name: bool,
}

/// Words in names of columns, in the languages that most people write, without accents in Latin script.
const WORDS: [(Personal, &str); 8] = [
    (
        Personal::Name,
        "surname firstname lastname fullname forename username vorname nachname familienname kundenname patientenname prenom apellido \
         apellidos cognome sobrenome voornaam achternaam nazwisko фамилия отчество фио fornavn etternavn efternavn fornamn efternamn \
         eftirnafn etunimi sukunimi soyad soyadi soyadı 姓名 氏名 성명 الاسم",
    ),
    (
        Personal::Email,
        "email mail emailaddress correo courriel epost eposta sahkoposti почта 邮箱 邮件 電郵 メール 이메일 البريد",
    ),
    (
        Personal::Phone,
        "phone telephone tel mobile fax telefon handy phonenumber cellphone telefonnummer rufnummer mobilnummer handynummer telefono \
         telefone telefoon telefoonnummer telefonu telefonnr puhelin puhelinnumero simanumer телефон телефона 电话 手机 電話 전화 \
         الهاتف هاتف جوال",
    ),
    (
        Personal::Identity,
        "ssn passport mrn nhs taxid nationalid nino dni cpf curp bsn pesel tckn aadhaar kimlik снилс инн паспорт passeport pasaporte \
         passaporto passaporte paspoort paszport reisepass ausweisnummer steuernummer steuerid sozialversicherungsnummer ahvnummer \
         versichertennummer codicefiscale personnummer personnr cprnummer fodselsnummer fødselsnummer kennitala henkilotunnus hetu \
         身份证 身分證 護照 护照 個人番号 주민등록번호 الهوية",
    ),
    (
        Personal::Birth,
        "birth birthday birthdate dob born dateofbirth geburtsdatum geburtstag geburtsjahr geboren nacimiento naissance nascita \
         nascimento geboortedatum geboorte urodzenia рождения fodselsdato fødselsdato fodselsdag fødselsdag fodelsedatum fæðingardagur \
         syntymaaika dogum dogumtarihi 出生 生日 生年月日 생년월일 الميلاد",
    ),
    (
        Personal::Address,
        "address street zip zipcode postcode postal plz latitude longitude lat lon lng adresse adress strasse straße hausnummer wohnort \
         domicilio domicile indirizzo endereco codigopostal codepostal adres adresi postnummer postnr osoite postinumero heimilisfang \
         адрес улица 地址 住址 住所 邮编 郵便番号 주소",
    ),
    (Personal::Ip, "ip ipaddress ipaddr ipv4 ipv6"),
    (Personal::Account, "iban accountnumber bankaccount kontonummer kontonr rekeningnummer"),
];

/// What is all of a column's name, for within others it says other things: directions of the wind, or of cells.
const ALONE: [(Personal, &str); 3] = [
    (Personal::Name, "nom noms nombre nombres nome naam navn namn nafn nimi imie isim имя имена اسم 名字 名前 이름"),
    (Personal::Phone, "celular cellulare movil"),
    (Personal::Address, "direccion calle rue cep"),
];

/// Pairs of words in names of columns.
const PAIRS: [(Personal, &[&str], &[&str]); 8] = [
    (Personal::Ip, &["ip"], &["address", "addr"]),
    (Personal::Email, &["e", "email", "mail"], &["mail", "address", "post", "posta"]),
    (
        Personal::Name,
        &["first", "last", "full", "given", "family", "middle", "maiden", "contact", "owner"],
        &["name", "names"],
    ),
    (Personal::Name, &["nombre", "nome", "nom"], &["completo", "complet", "apellidos", "cognome"]),
    (Personal::Identity, &["codice"], &["fiscale"]),
    (Personal::Identity, &["seguridad", "securite"], &["social", "sociale"]),
    (
        Personal::Identity,
        &["national", "passport", "tax", "insurance", "social", "medical", "driver", "licence", "license"],
        &["id", "number", "no", "nr", "security", "record"],
    ),
    (Personal::Card, &["credit", "card", "debit"], &["card", "number", "no", "nr"]),
];

/// What people are whom tables are about: who they are is in a column that is called so and nothing else.
const ROLES: [&str; 35] = [
    "patient",
    "doctor",
    "physician",
    "surgeon",
    "nurse",
    "midwife",
    "therapist",
    "clinician",
    "practitioner",
    "caregiver",
    "carer",
    "guardian",
    "kin",
    "relative",
    "mother",
    "father",
    "spouse",
    "husband",
    "wife",
    "client",
    "customer",
    "employee",
    "applicant",
    "borrower",
    "tenant",
    "policyholder",
    "beneficiary",
    "participant",
    "respondent",
    "person",
    "student",
    "pupil",
    "teacher",
    "user",
    "witness",
];

/// Words that stand before those, and leave them what they are.
const QUALIFIERS: [&str; 12] = [
    "primary",
    "care",
    "attending",
    "treating",
    "referring",
    "admitting",
    "consulting",
    "operating",
    "responsible",
    "assigned",
    "family",
    "legal",
];

fn is_role(word: &str) -> bool {
    ROLES.contains(&word)
}

/// What a column is called like that says who somebody is by what he is. One in the plural is a count, and of `client_version` the
/// last word is what it is about.
fn by_role(words: &[&str], kind: Kind) -> Option<Personal> {
    // Written as one word, as in `customerid`.
    let joined = |end: &str| words.iter().any(|word| word.strip_suffix(end).is_some_and(is_role));
    let followed = |ends: &[&str]| words.windows(2).any(|pair| is_role(pair[0]) && ends.contains(&pair[1]));
    if joined("name") || followed(&["name", "names"]) {
        return Some(Personal::Name);
    }
    // Whether patients did `no_show`, and their `number_of_visits`, is no number of theirs.
    let number = matches!(words, [.., role, "no" | "nr" | "number"] if is_role(role));
    if number || joined("id") || followed(&["id", "ids", "uid", "uuid", "identifier", "record"]) {
        return Some(Personal::Identity);
    }
    let alone = match words {
        ["next", "of", "kin"] | ["emergency", "contact"] => true,
        [before @ .., last] => is_role(last) && before.iter().all(|word| QUALIFIERS.contains(word)),
        [] => false,
    };
    match kind {
        Kind::Text if alone => Some(Personal::Name),
        Kind::Integer if alone => Some(Personal::Identity),
        _ => None,
    }
}

/// A letter without its accent, in Latin script; nothing of an accent that stands beside its letter.
fn bare(letter: char) -> Option<char> {
    match letter {
        '\u{300}'..='\u{36f}' => None,
        // Another letter: with it a child is no number of an insurance.
        'ñ' | 'Ñ' => Some(letter),
        '\u{c0}'..='\u{24f}' | '\u{1e00}'..='\u{1eff}' => {
            let letter = letter.to_string();
            DecomposingNormalizerBorrowed::new_nfd().normalize(&letter).chars().next()
        }
        other => Some(other),
    }
}

/// Whether a word is among these. Chinese, Japanese and Korean write several as one.
fn is_among(words: &str, word: &str) -> bool {
    words.split(' ').any(|one| one == word || (one >= "\u{2e80}" && word.contains(one)))
}

/// What a column is called like, whose values are of this kind.
pub(super) fn by_name(name: &str, kind: Kind) -> Option<Personal> {
    let mut words = vec![String::new()];
    let mut before = ' ';
    for each in name.chars().filter_map(bare) {
        let begins = each.is_uppercase() && before.is_lowercase();
        before = each;
        if (begins || !each.is_alphanumeric()) && words.last().is_some_and(|word| !word.is_empty()) {
            words.push(String::new());
        }
        if let Some(word) = words.last_mut().filter(|_| each.is_alphanumeric()) {
            word.extend(each.to_lowercase());
        }
    }
    let words: Vec<_> = words.iter().map(String::as_str).filter(|word| !word.is_empty()).collect();
    if matches!(words[..], ["name" | "names"]) {
        return Some(Personal::Name);
    }
    let pair = |(kind, one, other): &(Personal, &[&str], &[&str])| {
        words.windows(2).any(|pair| one.contains(&pair[0]) && other.contains(&pair[1])).then_some(*kind)
    };
    let alone = |(of, known): &(Personal, &str)| {
        // What is called a name in one language is a number in another.
        let counts = *of == Personal::Name && matches!(kind, Kind::Integer | Kind::Number);
        matches!(words[..], [word] if !counts && known.split(' ').any(|one| one == word)).then_some(*of)
    };
    let word = |(kind, known): &(Personal, &str)| words.iter().any(|word| is_among(known, word)).then_some(*kind);
    let found = PAIRS.iter().find_map(pair).or_else(|| by_role(&words, kind));
    found.or_else(|| ALONE.iter().find_map(alone)).or_else(|| WORDS.iter().find_map(word))
}

/// What values of a column have looked like.
#[derive(Clone, Debug, Default)]
pub(super) struct Seen {
    emails: u64,
    phones: u64,
    identities: u64,
    ips: u64,
    accounts: u64,
    cards: u64,
    /// The first and the last year of its dates.
    years: Option<(u16, u16)>,
    dates: u64,
}

impl Seen {
    /// Sees a value.
    pub(super) fn look(&mut self, text: &str, kind: Kind) {
        match kind {
            Kind::Date => {
                if let Some(year) = table::year(text) {
                    let (first, last) = self.years.unwrap_or((year, year));
                    self.years = Some((first.min(year), last.max(year)));
                    self.dates += 1;
                }
            }
            Kind::Integer => {
                self.cards += u64::from(is_card(text));
                self.phones += u64::from(text.starts_with('+') && is_phone(text));
            }
            Kind::Text | Kind::Number => {
                self.emails += u64::from(has_email(text));
                // Digits in groups may be several things; each value counts as one.
                let is = [is_identity(text), is_ip(text), is_account(text), is_card(text), is_phone(text)];
                let counts =
                    [&mut self.identities, &mut self.ips, &mut self.accounts, &mut self.cards, &mut self.phones];
                if let Some((_, count)) = is.iter().zip(counts).find(|(is, _)| **is) {
                    *count += 1;
                }
            }
            Kind::Boolean | Kind::Empty | Kind::Other => {}
        }
    }

    /// What a column of this kind looks like, and how many of its `there` values.
    pub(super) fn found(&self, kind: Kind, there: u64) -> Vec<(Personal, u64)> {
        let part = |count: u64, of: u64| count > 0 && count.saturating_mul(of) >= there;
        // One number in ten passes a card's checksum by chance.
        let cards = part(self.cards, if kind == Kind::Integer { 2 } else { 1_000 });
        let decades = self.years.is_some_and(|(first, last)| first >= 1_880 && last - first >= 30);
        let found = [
            (Personal::Email, self.emails, self.emails > 0),
            (Personal::Identity, self.identities, part(self.identities, 10)),
            (Personal::Ip, self.ips, part(self.ips, 10)),
            (Personal::Account, self.accounts, self.accounts > 0),
            (Personal::Card, self.cards, cards),
            (Personal::Phone, self.phones, part(self.phones, 10)),
            (Personal::Birth, self.dates, decades && part(self.dates, 2)),
        ];
        found.into_iter().filter(|(.., is)| *is).map(|(kind, values, _)| (kind, values)).collect()
    }

    /// Whether a value looks like anything that is a person's; a header has none of it.
    pub(super) fn is_personal(text: &str) -> bool {
        has_email(text) || is_ip(text) || is_account(text) || is_card(text) || is_phone(text) || is_identity(text)
    }
}

/// An e-mail address, also within other text.
pub(super) fn has_email(text: &str) -> bool {
    text.match_indices('@').any(|(at, _)| {
        let before =
            text[..at].bytes().next_back().is_some_and(|byte| byte.is_ascii_alphanumeric() || b"._-+".contains(&byte));
        let is_host = |each: char| each.is_alphanumeric() || each == '-' || each == '.';
        let host = text[at + 1..].split(|each| !is_host(each)).next().unwrap_or_default().trim_end_matches('.');
        let end = host.rsplit_once('.').map(|(name, end)| {
            !name.is_empty() && end.len() >= 2 && end.bytes().all(|byte| byte.is_ascii_alphabetic())
        });
        before && end == Some(true)
    })
}

fn is_ip(text: &str) -> bool {
    match text.parse::<std::net::IpAddr>() {
        Ok(std::net::IpAddr::V6(_)) => text.len() > 4,
        Ok(std::net::IpAddr::V4(_)) => true,
        Err(_) => false,
    }
}

/// Seven to fifteen digits, and what people put between them.
fn is_phone(text: &str) -> bool {
    if text.len() > 24 || !text.bytes().all(|byte| byte.is_ascii_digit() || b"+-() ./".contains(&byte)) {
        return false;
    }
    let digits = text.bytes().filter(u8::is_ascii_digit).count();
    let inside = text.bytes().skip(1).filter(|byte| b"-() /".contains(byte)).count();
    let dots = text.bytes().filter(|byte| *byte == b'.').count();
    (7..=15).contains(&digits)
        && (text.starts_with(['+', '(']) || inside >= 2 || dots >= 2 || (text.starts_with('0') && inside == 1))
}

/// A number of social security as the United States write it.
fn is_identity(text: &str) -> bool {
    let bytes = text.as_bytes();
    bytes.len() == 11
        && bytes
            .iter()
            .enumerate()
            .all(|(at, byte)| if at == 3 || at == 6 { *byte == b'-' } else { byte.is_ascii_digit() })
}

/// ISO 13616: the remainder by 97 is 1.
pub(super) fn is_account(text: &str) -> bool {
    if text.len() > 42 {
        return false;
    }
    let signs: Vec<u8> = text.bytes().filter(|byte| *byte != b' ').collect();
    let begins = |from: usize, is: fn(&u8) -> bool| signs.get(from..from + 2).is_some_and(|two| two.iter().all(is));
    if !(15..=34).contains(&signs.len()) || !begins(0, u8::is_ascii_uppercase) || !begins(2, u8::is_ascii_digit) {
        return false;
    }
    let mut turned = signs[4..].iter().chain(&signs[..4]);
    let remainder = turned.try_fold(0_u32, |sum, sign| match sign {
        b'0'..=b'9' => Some((sum * 10 + u32::from(sign - b'0')) % 97),
        b'A'..=b'Z' => Some((sum * 100 + u32::from(sign - b'A') + 10) % 97),
        _ => None,
    });
    remainder == Some(1)
}

/// ISO 7812: 13 to 19 digits, whose last is Luhn's.
fn is_card(text: &str) -> bool {
    if text.len() > 23 || !text.starts_with(['2', '3', '4', '5', '6']) {
        return false;
    }
    let digits: Option<Vec<u32>> =
        text.bytes().filter(|byte| !b" -".contains(byte)).map(|byte| char::from(byte).to_digit(10)).collect();
    let Some(digits) = digits.filter(|digits| (13..=19).contains(&digits.len())) else { return false };
    let sum: u32 = digits
        .iter()
        .rev()
        .enumerate()
        .map(|(at, digit)| match at % 2 {
            0 => *digit,
            _ => 2 * digit - if *digit > 4 { 9 } else { 0 },
        })
        .sum();
    sum.is_multiple_of(10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_known_by_their_names_and_others_are_not() {
        for (name, kind) in [
            ("name", Personal::Name),
            ("First Name", Personal::Name),
            ("customerName", Personal::Name),
            ("E-Mail", Personal::Email),
            ("contact_phone", Personal::Phone),
            ("SSN", Personal::Identity),
            ("patient_id", Personal::Identity),
            ("dob", Personal::Birth),
            ("date-of-birth", Personal::Birth),
            ("home address", Personal::Address),
            ("ip_address", Personal::Ip),
            ("client.ip", Personal::Ip),
            ("credit card", Personal::Card),
            ("IBAN", Personal::Account),
            ("fecha_nacimiento", Personal::Birth),
            ("Date de naissance", Personal::Birth),
            ("дата рождения", Personal::Birth),
            ("fødselsdato", Personal::Birth),
            ("Doğum Tarihi", Personal::Birth),
            ("출생_생년월일", Personal::Birth),
            ("nom", Personal::Name),
            ("Prénom", Personal::Name),
            ("Pre\u{301}nom", Personal::Name),
            ("nombre completo", Personal::Name),
            ("имя", Personal::Name),
            ("患者姓名", Personal::Name),
            ("İsim", Personal::Name),
            ("الاسم", Personal::Name),
            ("dni", Personal::Identity),
            ("codice_fiscale", Personal::Identity),
            ("numéro de sécurité sociale", Personal::Identity),
            ("kennitala", Personal::Identity),
            ("henkilötunnus", Personal::Identity),
            ("电话", Personal::Phone),
            ("联系电话", Personal::Phone),
            ("Teléfono", Personal::Phone),
            ("sähköposti", Personal::Email),
            ("e-post", Personal::Email),
            ("Dirección", Personal::Address),
            ("Straße", Personal::Address),
            ("住所", Personal::Address),
        ] {
            assert_eq!(by_name(name, Kind::Text), Some(kind), "{name}");
        }
        for name in ["age", "sex", "file_name", "product name", "trestbps", "zipped", "ship", "description", ""] {
            assert_eq!(by_name(name, Kind::Text), None, "{name}");
        }
        for name in [
            "nom_produit",
            "nombre de visites",
            "dirección del viento",
            "recuento celular",
            "индекс",
            "标题",
            "파일이름",
            "niño",
        ] {
            assert_eq!(by_name(name, Kind::Text), None, "{name}");
        }
        assert_eq!(by_name("nombre", Kind::Integer), None);
    }

    #[test]
    fn columns_that_are_called_after_what_people_are_name_or_number_them() {
        for name in ["patient", "Doctor", "attendingPhysician", "primary care physician", "client", "legal_guardian"] {
            assert_eq!(by_name(name, Kind::Text), Some(Personal::Name), "{name}");
            assert_eq!(by_name(name, Kind::Integer), Some(Personal::Identity), "{name}");
            assert_eq!(by_name(name, Kind::Boolean), None, "{name}");
        }
        for name in ["next of kin", "NextOfKin", "emergency_contact"] {
            assert_eq!(by_name(name, Kind::Text), Some(Personal::Name), "{name}");
        }
        // Whatever their values are.
        for kind in [Kind::Text, Kind::Integer] {
            for name in ["doctor_name", "customerName", "nurse names", "clientname"] {
                assert_eq!(by_name(name, kind), Some(Personal::Name), "{name}");
            }
            for name in ["patient_id", "CustomerID", "employee no", "client_uuid", "patientid", "customer number"] {
                assert_eq!(by_name(name, kind), Some(Personal::Identity), "{name}");
            }
            for name in [
                "patients",
                "customers",
                "client_version",
                "patient_no_show",
                "patient_number_of_visits",
                "doctor_visits",
                "employee_count",
                "customer_segment",
                "cost_per_patient",
                "is_customer",
                "user_agent",
                "parent_id",
                "kinship",
            ] {
                assert_eq!(by_name(name, kind), None, "{name}");
            }
        }
    }

    #[test]
    fn values_are_known_by_their_shape_and_checksum() {
        assert!(has_email("write to ann.b@example.org, please") && !has_email("@home") && !has_email("a@b"));
        assert!(is_card("4111 1111 1111 1111") && !is_card("4111 1111 1111 1112") && !is_card("1234567890123"));
        assert!(is_account("DE89 3704 0044 0532 0130 00") && !is_account("DE89 3704 0044 0532 0130 01"));
        assert!(is_ip("192.168.0.1") && is_ip("2001:db8::1") && !is_ip("1.2.3") && !is_ip("::1"));
        assert!(is_phone("+49 30 901820") && is_phone("(555) 123-4567") && is_phone("555-123-4567"));
        assert!(!is_phone("145") && !is_phone("1234567") && !is_phone("3.14159265"));
        assert!(is_identity("078-05-1120") && !is_identity("078-05-112"));
    }
}
