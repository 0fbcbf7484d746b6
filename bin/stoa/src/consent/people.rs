//! Whose data they are, and of what kind: categories of the W3C's Data Privacy Vocabulary.

use super::purpose::meant;
use clap::Args;
use stoa_data::ddo::{People, is_term};

/// Where categories of data subjects are, and of personal data.
const SUBJECTS: &str = "https://w3id.org/dpv#";
const PERSONAL: &str = "https://w3id.org/dpv/pd#";

/// Categories of data subjects, version 2.2: `dpv:HumanSubject` and what stands below it (w3c/dpv,
/// `2.2/dpv/modules/entities_datasubject.csv`).
const PEOPLE: &str = "Adult Applicant AsylumSeeker Child Citizen Client Consumer Customer DataSubject ElderlyDataSubject ElderlyHuman \
    Employee GuardianOfDataSubject GuardianOfHuman HumanSubject Immigrant JobApplicant Member \
    MentallyVulnerableDataSubject MentallyVulnerableHuman NonCitizen ParentOfDataSubject ParentOfHuman Participant \
    Patient Student Subscriber Tourist User Visitor VulnerableDataSubject VulnerableHuman";

/// Categories of personal data, version 2.2 (w3c/dpv, `2.2/pd/modules/core.csv` and `extended.csv`).
const KINDS: &str = "Accent AccountIdentifier Acquaintance Age AgeExact AgeRange ApartmentOwned Association Attitude Authenticating \
    AuthenticationHistory BankAccount Behavioural Biometric BirthCountry BirthDate BirthPlace BloodType \
    BrowserFingerprint BrowserHistory BrowsingBehaviour BrowsingReferral CallLog CarOwned Character Citizenship City \
    Communication CommunicationsMetadata Connection Contact Country Credit CreditCapacity CreditCardNumber \
    CreditRecord CreditScore CreditStanding CreditWorthiness Criminal CriminalCharge CriminalConviction \
    CriminalOffence CriminalPardon CurrentEmployment DNACode Demeanour Demographic DeviceApplications DeviceBased \
    DeviceOperatingSystem DeviceSoftware Dialect DigitalFingerprint Disability DisciplinaryAction Dislike Divorce \
    Domicile DrugTestResult Education EducationExperience EducationQualification EmailAddress EmailAddressPersonal \
    EmailAddressWork EmailContent Emotion EmploymentHistory EthnicOrigin Ethnicity External FacialExpression \
    FacialPrint Family FamilyHealthHistory FamilyStructure Favourite FavouriteColour FavouriteFood FavouriteMusic \
    Fetish Financial FinancialAccount FinancialAccountNumber FinancialStatus Fingerprint Friend GPSCoordinate Gender \
    GeneralReputation Genetic Geographic GroupMembership GroupProfile HairColour Health HealthHistory HealthRecord \
    Height Historical HouseNumber HouseOwned Household IPAddress Identifier Identifying Income IncomeBracket \
    IndividualHealthHistory IndividualProfile Insurance Intention Interaction Interest Internal Job KnowledgeBelief \
    Language LifeHistory Like LinkClicked LoanRecord Locality Location MACAddress MaritalStatus Marriage \
    MedicalHealth MentalHealth Mood Name Nationality OfficialID Offspring Opinion Ownership PINCode Parent Passport \
    Password PastEmployment PaymentCard PaymentCardExpiry PaymentCardNumber PerformanceAtWork PersonalDocuments \
    PersonalPossession Personality PhilosophicalBelief PhysicalAddress PhysicalCharacteristic PhysicalHealth \
    PhysicalTrait Picture Piercing PoliticalAffiliation PoliticalOpinion PostalCode Preference Prescription \
    PrivacyPreference Proclivity Professional ProfessionalCertification ProfessionalEvaluation ProfessionalInterview \
    Profile PublicLife PubliclyAvailableSocialMedia Purchase PurchasesAndSpendingHabit Race Reference Region \
    Relationship Reliability Religion ReligiousBelief Residency Retina RoomNumber Salary Sale School SecretText \
    ServiceConsumptionBehaviour Sexual SexualHistory SexualPreference Sibling SkinTone Social SocialMedia \
    SocialMediaCommunication SocialNetwork SocialStatus Street TVViewingBehaviour Tattoo Tax TelephoneNumber Thought \
    Tracking TradeUnionMembership Transaction Transactional TravelHistory UID UserAgent Username \
    VehicalLicenseNumber VehicalLicenseRegistration Vehicle VehicleLicense VehicleUsage VoiceCommunicationRecording \
    VoiceMail Weight WorkEnvironment WorkHistory";

/// Whose data something is, as it is typed.
#[derive(Args)]
pub(crate) struct PeopleOptions {
    /// Whom the data are about, if about people: a category of data subjects of the W3C Data Privacy Vocabulary
    /// (https://w3id.org/dpv), such as Patient, by its name or its whole IRI, and no names of people; may be given several times. The
    /// record of consent says it. Public.
    #[arg(long, value_name = "CATEGORY", value_parser = subject)]
    data_subject: Vec<String>,
    /// What is in them about people: a category of personal data of its extension (https://w3id.org/dpv/pd), such as HealthRecord, by
    /// its name or its whole IRI; may be given several times. The record of consent says it. Public.
    #[arg(long, value_name = "CATEGORY", value_parser = kind)]
    personal_data: Vec<String>,
}

/// Categories for a line on the terminal: their names alone.
pub(crate) fn names(terms: &[String]) -> String {
    let name = |term: &String| term.rsplit('#').next().unwrap_or_default().to_owned();
    terms.iter().map(name).collect::<Vec<_>>().join(", ")
}

impl PeopleOptions {
    /// Whether nothing is said.
    pub(crate) fn is_empty(&self) -> bool {
        self.data_subject.is_empty() && self.personal_data.is_empty()
    }

    /// What is said.
    pub(crate) fn people(&self) -> People {
        People { subjects: self.data_subject.clone(), personal: self.personal_data.clone() }
    }
}

/// The IRI of a category of data subjects.
fn subject(text: &str) -> Result<String, String> {
    let known: Vec<_> = PEOPLE.split_ascii_whitespace().collect();
    term(text, "dpv:", SUBJECTS, &known).map_err(|meant| {
        format!(
            "the Data Privacy Vocabulary has no such category of data subjects.{meant} DataSubject stands for anybody"
        )
    })
}

/// The IRI of a category of personal data.
fn kind(text: &str) -> Result<String, String> {
    // Any is a term of the vocabulary itself.
    if matches!(text, "PersonalData" | "dpv:PersonalData") {
        return Ok(format!("{SUBJECTS}PersonalData"));
    }
    let known: Vec<_> = KINDS.split_ascii_whitespace().collect();
    term(text, "pd:", PERSONAL, &known).map_err(|meant| {
        format!("the Data Privacy Vocabulary has no such category of personal data.{meant} PersonalData stands for any")
    })
}

/// A known name with the vocabulary before it, or a whole IRI of the vocabulary as it is, for a later version may have more; else what
/// may be meant.
fn term(text: &str, prefix: &str, vocabulary: &str, known: &[&str]) -> Result<String, String> {
    if text.contains("://") {
        // Data may be personal in a way that the vocabulary itself has a name for.
        let fits = is_term(text) && (vocabulary == PERSONAL || text.starts_with(vocabulary));
        return if fits { Ok(text.to_owned()) } else { Err(String::new()) };
    }
    let name = text.strip_prefix(prefix).unwrap_or(text);
    if known.contains(&name) { Ok(format!("{vocabulary}{name}")) } else { Err(meant(name, known)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn categories_of_the_vocabulary_are_taken_and_others_are_not() {
        for name in ["Patient", "dpv:Patient", "https://w3id.org/dpv#Patient"] {
            assert_eq!(subject(name).unwrap(), "https://w3id.org/dpv#Patient");
        }
        for name in ["HealthRecord", "pd:HealthRecord", "https://w3id.org/dpv/pd#HealthRecord"] {
            assert_eq!(kind(name).unwrap(), "https://w3id.org/dpv/pd#HealthRecord");
        }
        assert_eq!(
            kind("https://w3id.org/dpv#SensitivePersonalData").unwrap(),
            "https://w3id.org/dpv#SensitivePersonalData"
        );
        for any in ["PersonalData", "dpv:PersonalData", "https://w3id.org/dpv#PersonalData"] {
            assert_eq!(kind(any).unwrap(), "https://w3id.org/dpv#PersonalData");
        }
        let other = "https://w3id.org/dpv/pd#HealthRecord";
        for wrong in
            ["", "Ann Example", "https://example.org/dpv#Patient", "https://w3id.org/dpv#", "HealthRecord", other]
        {
            assert!(subject(wrong).is_err(), "{wrong}");
        }
        assert!(subject("Pateint").unwrap_err().contains("Did you mean Patient?"));
        assert!(kind("HealthRecrd").unwrap_err().contains("Did you mean HealthRecord?"));
        assert_eq!((PEOPLE.split(' ').count(), KINDS.split(' ').count()), (32, 221));
    }
}
