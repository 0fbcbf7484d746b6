//! What data may be used for: the purposes of the W3C's Data Privacy Vocabulary.

/// What every purpose begins with.
const VOCABULARY: &str = "https://w3id.org/dpv#";

/// Suggestions that are made at most.
const SUGGESTIONS: usize = 5;

/// The purposes of version 2.2: all that stands below `dpv:Purpose` (w3c/dpv, `2.2/dpv/modules/purposes.csv`).
const PURPOSES: [&str; 118] = [
    "AcademicResearch",
    "AccountManagement",
    "Advertising",
    "AgeVerification",
    "CombatClimateChange",
    "CommercialPurpose",
    "CommercialResearch",
    "CommunicationForCustomerCare",
    "CommunicationManagement",
    "CounterMoneyLaundering",
    "Counterterrorism",
    "CustomerCare",
    "CustomerClaimsManagement",
    "CustomerManagement",
    "CustomerOrderManagement",
    "CustomerRelationshipManagement",
    "CustomerSolvencyMonitoring",
    "DataAltruism",
    "DeliveryOfGoods",
    "DirectMarketing",
    "DisputeManagement",
    "EnforceAccessControl",
    "EnforceSecurity",
    "EstablishContractualAgreement",
    "FraudPreventionAndDetection",
    "FulfilmentOfContractualObligation",
    "FulfilmentOfObligation",
    "HumanResourceManagement",
    "IdentityAuthentication",
    "IdentityVerification",
    "ImproveExistingProductsAndServices",
    "ImproveHealthcare",
    "ImproveInternalCRMProcesses",
    "ImprovePublicServices",
    "ImproveTransportMobility",
    "IncreaseServiceRobustness",
    "InternalResourceOptimisation",
    "LegalCompliance",
    "MaintainFraudDatabase",
    "Marketing",
    "MemberPartnerManagement",
    "MisusePreventionAndDetection",
    "NonCommercialPurpose",
    "NonCommercialResearch",
    "OptimisationForConsumer",
    "OptimisationForController",
    "OptimiseUserInterface",
    "OrganisationComplianceManagement",
    "OrganisationGovernance",
    "OrganisationRiskManagement",
    "PaymentManagement",
    "Personalisation",
    "PersonalisedAdvertising",
    "PersonalisedBenefits",
    "PersonnelBehaviourMonitoring",
    "PersonnelHiring",
    "PersonnelManagement",
    "PersonnelMonitoring",
    "PersonnelOffboarding",
    "PersonnelOnboarding",
    "PersonnelPayment",
    "PersonnelPerformanceEvaluation",
    "PersonnelPerformanceManagement",
    "PersonnelPerformanceMonitoring",
    "PersonnelPerformancePrediction",
    "PersonnelPromotionManagement",
    "PersonnelTerminationManagement",
    "PersonnelWorkloadManagement",
    "PoliticalCampaign",
    "ProtectionOfIPR",
    "ProtectionOfNationalSecurity",
    "ProtectionOfPublicSecurity",
    "ProvideEventRecommendations",
    "ProvideOfficialStatistics",
    "ProvidePersonalisedRecommendations",
    "ProvideProductRecommendations",
    "PublicBenefit",
    "PublicPolicyMaking",
    "PublicRelations",
    "RecordManagement",
    "RecruitmentAdvertising",
    "RecruitmentApplicantBackgroundCheck",
    "RecruitmentApplicantCriminalBackgroundCheck",
    "RecruitmentApplicantInformationAuthentication",
    "RecruitmentApplicantSelection",
    "RecruitmentApplicationAnalysis",
    "RecruitmentApplicationManagement",
    "RecruitmentApplicationScreening",
    "RecruitmentInterviewAnalysis",
    "RecruitmentInterviewAssessment",
    "RecruitmentInterviewManagement",
    "RecruitmentInterviewScheduling",
    "RecruitmentManagement",
    "RecruitmentTargetedAdvertising",
    "RepairImpairments",
    "RequestedServiceProvision",
    "ResearchAndDevelopment",
    "RightsFulfilment",
    "ScientificResearch",
    "SearchFunctionalities",
    "SellDataToThirdParties",
    "SellInsightsFromData",
    "SellProducts",
    "SellProductsToDataSubject",
    "ServiceOptimisation",
    "ServicePersonalisation",
    "ServiceProvision",
    "ServiceRegistration",
    "ServiceUsageAnalytics",
    "SocialMediaMarketing",
    "TargetedAdvertising",
    "TechnicalServiceProvision",
    "UserInterfacePersonalisation",
    "VendorManagement",
    "VendorPayment",
    "VendorRecordsManagement",
    "VendorSelectionAssessment",
    "Verification",
];

/// The IRI of a purpose: by its name, with `dpv:` before it or without. A whole IRI of the vocabulary is taken as it is, for a
/// later version may have purposes that this list has not.
///
/// # Errors
///
/// If it is none, with those that may be meant.
pub(crate) fn purpose(text: &str) -> Result<String, String> {
    if text.contains("://") {
        let name = text.strip_prefix(VOCABULARY).filter(|name| !name.is_empty());
        return name.map(|_| text.to_owned()).ok_or_else(|| {
            format!("want a purpose of the Data Privacy Vocabulary, whose IRI begins with {VOCABULARY}")
        });
    }
    let name = text.strip_prefix("dpv:").unwrap_or(text);
    if PURPOSES.contains(&name) {
        return Ok(format!("{VOCABULARY}{name}"));
    }
    let meant = meant(name, &PURPOSES);
    Err(format!(
        "the Data Privacy Vocabulary has no such purpose.{meant} https://w3id.org/dpv lists them; one that is newer than version \
         2.2 is taken as a whole IRI, {VOCABULARY}…"
    ))
}

/// Asks whether one of these names was meant, if one is like it.
pub(super) fn meant(name: &str, among: &[&str]) -> String {
    match suggestions(name, among)[..] {
        [] => String::new(),
        [one] => format!(" Did you mean {one}?"),
        [ref some @ .., last] => format!(" Did you mean {} or {last}?", some.join(", ")),
    }
}

/// Names that are written almost so, or else have this in them.
fn suggestions<'a>(name: &str, among: &[&'a str]) -> Vec<&'a str> {
    let name = name.to_lowercase();
    let distance = |other: &&str| edits(&name, &other.to_lowercase());
    let near = among.iter().map(|other| (distance(other), *other)).min();
    if let Some((distance, other)) = near
        && distance <= 2.max(name.len() / 5)
    {
        return vec![other];
    }
    let with_it = |other: &&&str| name.len() > 2 && other.to_lowercase().contains(&name);
    among.iter().filter(with_it).take(SUGGESTIONS).copied().collect()
}

/// By how many letters, added, left out or changed, two words differ (Levenshtein).
fn edits(one: &str, other: &str) -> usize {
    let other: Vec<_> = other.chars().collect();
    let mut row: Vec<_> = (0..=other.len()).collect();
    for (number, letter) in one.chars().enumerate() {
        let mut before = row[0];
        row[0] = number + 1;
        for (place, with) in other.iter().enumerate() {
            let changed = before + usize::from(letter != *with);
            before = row[place + 1];
            row[place + 1] = changed.min(before + 1).min(row[place] + 1);
        }
    }
    row[other.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn purposes_of_the_vocabulary_are_taken_and_others_are_not() {
        for name in ["ScientificResearch", "dpv:ScientificResearch", "https://w3id.org/dpv#ScientificResearch"] {
            assert_eq!(purpose(name).unwrap(), "https://w3id.org/dpv#ScientificResearch");
        }
        assert_eq!(purpose("https://w3id.org/dpv#Newer").unwrap(), "https://w3id.org/dpv#Newer");
        for wrong in ["", "Curiosity", "Purpose", "hasPurpose", VOCABULARY, "https://example.org/dpv#Marketing"] {
            assert!(purpose(wrong).is_err(), "{wrong}");
        }
        assert!(PURPOSES.is_sorted());
    }

    #[test]
    fn a_purpose_that_is_almost_one_is_asked_about() {
        for (wrong, meant) in [
            ("ScientficResearch", "Did you mean ScientificResearch?"),
            ("marketing", "Did you mean Marketing?"),
            ("dpv:ServiceProvison", "Did you mean ServiceProvision?"),
            (
                "Research",
                "Did you mean AcademicResearch, CommercialResearch, NonCommercialResearch, ResearchAndDevelopment",
            ),
        ] {
            let error = purpose(wrong).unwrap_err();
            assert!(error.contains(meant), "{wrong}: {error}");
        }
        assert!(!purpose("Curiosity").unwrap_err().contains("Did you mean"));
    }

    #[test]
    fn words_differ_by_the_letters_that_make_one_of_the_other() {
        for (one, other, edits_between) in [
            ("", "", 0),
            ("", "abc", 3),
            ("kitten", "sitting", 3),
            ("abc", "abc", 0),
            ("abc", "bc", 1),
            ("ab", "ba", 2),
        ] {
            assert_eq!((edits(one, other), edits(other, one)), (edits_between, edits_between), "{one} {other}");
        }
    }
}
