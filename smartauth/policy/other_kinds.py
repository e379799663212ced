"""Names in plain words for kinds of record that few apps ask for. Pure.

Source: FHIR R4 resource list; the Patient compartment, and what stands beside it.
"""


def gettext_noop(text: str) -> str:
    """Mark a text for translation, which is done where it is shown: nothing here knows of languages."""
    return text


OTHER_KINDS = {
    "Account": gettext_noop("Accounts"),
    "AdverseEvent": gettext_noop("Adverse events"),
    "Appointment": gettext_noop("Appointments"),
    "AppointmentResponse": gettext_noop("Answers to appointments"),
    "AuditEvent": gettext_noop("Who looked at the record"),
    "Basic": gettext_noop("Entries of no particular kind"),
    "Binary": gettext_noop("Files"),
    "BodyStructure": gettext_noop("Places on the body"),
    "ChargeItem": gettext_noop("Items on a bill"),
    "Claim": gettext_noop("Insurance claims"),
    "ClaimResponse": gettext_noop("Answers to insurance claims"),
    "ClinicalImpression": gettext_noop("Assessments"),
    "Communication": gettext_noop("Messages"),
    "CommunicationRequest": gettext_noop("Requests to get in touch"),
    "Composition": gettext_noop("Composed documents"),
    "Consent": gettext_noop("Consents"),
    "Contract": gettext_noop("Contracts"),
    "CoverageEligibilityRequest": gettext_noop("Questions to the insurer"),
    "CoverageEligibilityResponse": gettext_noop("Answers of the insurer"),
    "DetectedIssue": gettext_noop("Warnings about treatments"),
    "DeviceMetric": gettext_noop("Settings of devices"),
    "DeviceRequest": gettext_noop("Orders of devices"),
    "DeviceUseStatement": gettext_noop("Use of devices"),
    "EnrollmentRequest": gettext_noop("Applications for insurance"),
    "EpisodeOfCare": gettext_noop("Episodes of care"),
    "ExplanationOfBenefit": gettext_noop("Statements of the insurer"),
    "Flag": gettext_noop("Warnings on the record"),
    "Group": gettext_noop("Groups of people"),
    "GuidanceResponse": gettext_noop("Advice by programs"),
    "ImagingStudy": gettext_noop("Scans and images"),
    "ImmunizationEvaluation": gettext_noop("Checks of vaccinations"),
    "ImmunizationRecommendation": gettext_noop("Vaccinations that are due"),
    "InsurancePlan": gettext_noop("Insurance plans"),
    "Invoice": gettext_noop("Invoices"),
    "List": gettext_noop("Lists"),
    "MeasureReport": gettext_noop("Reports on quality"),
    "Media": gettext_noop("Photos and recordings"),
    "MedicationAdministration": gettext_noop("Medicines that were given"),
    "MedicationStatement": gettext_noop("Medicines that are taken"),
    "MolecularSequence": gettext_noop("Genetic sequences"),
    "NutritionOrder": gettext_noop("Diets"),
    "Person": gettext_noop("People"),
    "Questionnaire": gettext_noop("Questionnaires"),
    "RequestGroup": gettext_noop("Groups of orders"),
    "ResearchStudy": gettext_noop("Research studies"),
    "ResearchSubject": gettext_noop("Taking part in research"),
    "RiskAssessment": gettext_noop("Assessments of risk"),
    "Schedule": gettext_noop("Timetables"),
    "Slot": gettext_noop("Free appointments"),
    "Substance": gettext_noop("Substances"),
    "SupplyDelivery": gettext_noop("Deliveries"),
    "SupplyRequest": gettext_noop("Orders of supplies"),
    "Task": gettext_noop("Tasks"),
    "VisionPrescription": gettext_noop("Prescriptions for glasses"),
}
