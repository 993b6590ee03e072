//! The stable codes of diagnostics. A code is never given a second meaning.

macro_rules! codes {
    ($($(#[doc = $doc:literal])+ $name:ident = $code:literal;)+) => {
        $($(#[doc = $doc])+ pub const $name: &str = $code;)+

        /// All codes with their meaning.
        pub const ALL: &[(&str, &str)] = &[$(($code, concat!($($doc),+))),+];
    };
}

codes! {
    /// The text is not valid YAML.
    SYNTAX = "S001";
    /// The text is too large, too deep, or its aliases repeat too much.
    TOO_LARGE = "S002";
    /// There is no scenario in the file, or more than one.
    NO_SCENARIO = "S003";
    /// A key that this place does not know.
    UNKNOWN_KEY = "S004";
    /// A key that must be there.
    MISSING_KEY = "S005";
    /// A list where a mapping belongs, and the like.
    WRONG_TYPE = "S006";
    /// A key that stands twice in one mapping.
    DUPLICATE_KEY = "S007";
    /// A word that is none of the known ones.
    UNKNOWN_WORD = "S008";
    /// Not exactly one of several keys.
    NOT_ONE_KIND = "S009";
    /// A version or kind of document that this build does not read.
    UNKNOWN_DOCUMENT = "S010";
    /// A name that is not formed like one.
    BAD_NAME = "S011";
    /// A name that is used twice.
    DUPLICATE_NAME = "S012";
    /// A number out of its range.
    OUT_OF_RANGE = "S013";
    /// A quantity without, or with a wrong, unit.
    BAD_QUANTITY = "S014";
    /// A part of the language that this build does not have yet.
    NOT_SUPPORTED = "S015";
    /// An edge, service or instance that the system does not have.
    UNKNOWN_TARGET = "S016";
    /// A fault, arm, signal, request or feed that the scenario does not have.
    UNKNOWN_REFERENCE = "S017";
    /// A window that cannot be read, or that ends before it begins.
    BAD_WINDOW = "S018";
    /// A condition that cannot be read.
    BAD_CONDITION = "S019";
    /// A parameter that is not declared.
    UNKNOWN_PARAMETER = "S020";
    /// Parameters that need each other.
    CYCLIC_PARAMETER = "S021";
    /// A parameter whose value is not of its type.
    BAD_PARAMETER = "S022";
    /// A kind of fault that the system does not know.
    UNKNOWN_FAULT_KIND = "S023";
    /// A specification that the kind of fault refuses.
    BAD_FAULT = "S024";
    /// Phases that do not fit the faults.
    IMPOSSIBLE_PHASES = "S025";
    /// A window that ends before the claim could be seen to hold.
    SHORT_HORIZON = "S026";
    /// So few requests that the bound cannot be resolved.
    FEW_REQUESTS = "S027";
    /// A probe too slow for the time that it must resolve.
    SLOW_PROBE = "S028";
    /// More is touched than the blast radius allows.
    RADIUS_EXCEEDED = "S029";
    /// The system's environment is not among the permitted ones.
    ENVIRONMENT = "S030";
    /// Two faults at one time that want the same.
    FAULT_CONFLICT = "S031";
    /// Trials or arms that cannot be.
    IMPOSSIBLE_TRIALS = "S032";
    /// Load that cannot be.
    IMPOSSIBLE_LOAD = "S033";
    /// A mechanism that this machine does not have.
    MISSING_MECHANISM = "S034";
    /// A defect that the system does not know.
    UNKNOWN_DEFECT = "S035";
    /// A secret where none can stand.
    MISPLACED_SECRET = "S036";
    /// An expectation about a fault in a scenario without one.
    NEEDS_FAULT = "S037";
    /// A fault that cannot be undone and is not approved.
    IRREVERSIBLE = "S038";
    /// Trials too few to prove the claim.
    FEW_TRIALS = "S039";
    /// An expectation that the scenario's own signals or load cannot answer.
    NO_EVIDENCE = "S040";
    /// A cap on what one incident adds that nothing enforces.
    UNENFORCED_CAP = "S041";
    /// A file of data that cannot be had, or not be read as what it should be.
    BAD_FILE = "S050";
}
