//! A builder's options, as one table: each row says an option's name, type, default, what text it
//! is given by, and what it is for. From it come the builder's fields, its methods, its defaults,
//! its checks, and [`Builder::set`](crate::Builder::set), for command lines and files of settings.
//!
//! A default is given as text, as a user would write it, so that it stands in one place; a test
//! parses them all.
//!
//! Rejected: a derive macro (a crate more, for one type); a list of options beside the builder's
//! methods (each fact twice, and the test that compares them).

use std::fmt;
use std::time::Duration;

/// One option of a heap, as text gives it.
///
/// ```
/// for option in gc_rc::Builder::OPTIONS {
///     println!("{} ({}): {}", option.name, option.values, option.help);
/// }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct BuilderOption {
    /// Its name, such as `watchdog`.
    pub name: &'static str,
    /// What values it takes: words, such as `off | on`; a range, such as `1 to 64`; or in words,
    /// such as `a time, such as 5ms | off`.
    pub values: &'static str,
    /// The value it has if it is not set.
    pub default: &'static str,
    /// What it does, in one line.
    pub help: &'static str,
}

/// Text that sets no option.
///
/// ```
/// use gc_rc::{Heap, OptionError};
///
/// let heap = Heap::builder().set("limit", "64M")?.set("watchdog", "100ms")?.build()?;
/// let refused = Heap::builder().set("limit", "much");
/// assert!(matches!(refused, Err(OptionError::Value { .. })));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum OptionError {
    /// There is no option of this name.
    Unknown {
        /// The name.
        name: String,
        /// The options that there are.
        known: &'static [BuilderOption],
    },
    /// The option does not take this value.
    Value {
        /// The option.
        option: BuilderOption,
        /// The value.
        value: String,
    },
}

impl fmt::Display for OptionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown { name, known } => {
                let names: Vec<_> = known.iter().map(|option| option.name).collect();
                write!(f, "unknown option '{name}': there are {}", names.join(", "))
            }
            Self::Value { option, value } => {
                let BuilderOption { name, values, .. } = option;
                write!(f, "option {name} cannot be '{value}': expected {values}")
            }
        }
    }
}

impl std::error::Error for OptionError {}

/// How text gives a value of type `T`: by default, the way of the type itself.
pub(crate) trait Text<T = Self> {
    /// What it takes, for [`BuilderOption::values`].
    const TAKES: &'static str;

    fn parse(text: &str) -> Option<T>;
}

impl Text for bool {
    const TAKES: &'static str = "off | on";

    fn parse(text: &str) -> Option<Self> {
        match text {
            "off" => Some(false),
            "on" => Some(true),
            _ => None,
        }
    }
}

impl Text for Duration {
    const TAKES: &'static str = "a time, such as 5ms";

    fn parse(text: &str) -> Option<Self> {
        (humantime::parse_duration(text).ok()).filter(|time| !time.is_zero())
    }
}

impl Text for Option<Duration> {
    const TAKES: &'static str = "a time, such as 5s | off";

    fn parse(text: &str) -> Option<Self> {
        or_off(text, Duration::parse)
    }
}

/// `off`, or something else.
pub(crate) fn or_off<T>(text: &str, parse: impl FnOnce(&str) -> Option<T>) -> Option<Option<T>> {
    match text {
        "off" => Some(None),
        _ => parse(text).map(Some),
    }
}

/// Two percentages, such as `98/2`, as whole numbers from 0 to 100.
pub(crate) fn parse_percentages(text: &str) -> Option<(u8, u8)> {
    let percentage = |text: &str| text.parse().ok().filter(|&percent| percent <= 100);
    let (first, second) = text.split_once('/')?;
    Some((percentage(first)?, percentage(second)?))
}

/// A number of bytes: `64M`, `1.5GiB`, `4096`. Units are powers of 1024; it is above 0 and below 8
/// PiB, so that it is exact as a floating-point number.
pub(crate) fn parse_bytes(text: &str) -> Option<usize> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let shift = match text[digits.len()..].to_ascii_lowercase().as_str() {
        "" | "b" => 0,
        "k" | "kb" | "kib" => 10,
        "m" | "mb" | "mib" => 20,
        "g" | "gb" | "gib" => 30,
        "t" | "tb" | "tib" => 40,
        _ => return None,
    };
    if !digits.starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    let number: f64 = digits.replace('_', "").parse().ok()?;
    let bytes = number * (1_u64 << shift) as f64;
    let in_range = (1.0..(1_u64 << 53) as f64).contains(&bytes);
    in_range.then(|| usize::try_from(bytes as u64).unwrap_or(usize::MAX))
}

/// The words for the values of an enumeration.
macro_rules! words {
    ($type:ident: $first:literal $first_value:ident $(, $word:literal $value:ident)*) => {
        impl $crate::options::Text for $type {
            const TAKES: &'static str = concat!($first $(, " | ", $word)*);

            fn parse(text: &str) -> Option<Self> {
                match text {
                    $first => Some(Self::$first_value),
                    $($word => Some(Self::$value),)*
                    _ => None,
                }
            }
        }
    };
}
pub(crate) use words;

/// The name of a method as that of an option: with `-` in place of `_`.
pub(crate) const fn dashed<const LENGTH: usize>(name: &str) -> [u8; LENGTH] {
    let mut bytes = [0; LENGTH];
    let mut index = 0;
    while index < LENGTH {
        let byte = name.as_bytes()[index];
        bytes[index] = if byte == b'_' { b'-' } else { byte };
        index += 1;
    }
    bytes
}

/// The name of an option: what its row says, or that of its method.
macro_rules! option_name {
    ($method:ident $name:literal) => {
        $name
    };
    ($method:ident) => {{
        const METHOD: &str = stringify!($method);
        const NAME: [u8; METHOD.len()] = $crate::options::dashed(METHOD);
        match str::from_utf8(&NAME) {
            Ok(name) => name,
            Err(_) => unreachable!(),
        }
    }};
}
pub(crate) use option_name;

/// What text a row takes, and how it is read: a range of whole numbers, another form, or that of
/// the option's type.
macro_rules! option_text {
    (takes $type:ty, $low:literal to $high:literal) => {
        concat!($low, " to ", $high)
    };
    (takes $type:ty, $form:ty) => {
        <$form as $crate::options::Text<$type>>::TAKES
    };
    (takes $type:ty) => {
        <$type as $crate::options::Text>::TAKES
    };
    (parse $text:ident as $type:ty, $low:literal to $high:literal) => {
        $text
            .parse()
            .ok()
            .filter(|number| ($low..=$high).contains(number))
    };
    (parse $text:ident as $type:ty, $form:ty) => {
        <$form as $crate::options::Text<$type>>::parse($text)
    };
    (parse $text:ident as $type:ty) => {
        <$type as $crate::options::Text>::parse($text)
    };
}
pub(crate) use option_text;

/// Makes a builder of a table. A row, but for what is in brackets, which may be missing:
///
/// ```text
/// /// The documentation of the method.
/// method(parameter: Type) [named "name"] [in 1 to 64] [as Form] = "default", "help"
///     [, the error, if the parameter is out of range];
/// ```
///
/// After the rows come the fields that no text sets.
macro_rules! options {
    (
        $(#[$builder_doc:meta])*
        $builder:ident, $error:ident {$(
            $(#[$doc:meta])*
            $method:ident($parameter:ident: $type:ty)
            $(named $name:literal)? $(in $low:literal to $high:literal)? $(as $form:ty)?
            = $default:literal, $help:literal $(, $refusal:expr)?;
        )*}
        $($field:ident: $field_type:ty),*
    ) => {
        $(#[$builder_doc])*
        #[derive(Clone, Debug)]
        #[must_use]
        pub struct $builder {
            $(pub(crate) $method: $type,)*
            $(pub(crate) $field: $field_type,)*
        }

        impl Default for $builder {
            fn default() -> Self {
                $(
                    let $method: Option<$type> = {
                        let text = $default;
                        $crate::options::option_text!(
                            parse text as $type $(, $low to $high)? $(, $form)?
                        )
                    };
                )*
                Self {
                    $($method: $method.expect("a default is a value that its option takes"),)*
                    $($field: <$field_type>::default(),)*
                }
            }
        }

        impl $builder {
            /// Every option that can be set by name, in the order in which they are shown.
            pub const OPTIONS: &'static [BuilderOption] = &[
                $(
                    BuilderOption {
                        name: $crate::options::option_name!($method $($name)?),
                        values: $crate::options::option_text!(
                            takes $type $(, $low to $high)? $(, $form)?
                        ),
                        default: $default,
                        help: $help,
                    },
                )*
            ];

            /// Sets an option by name from text.
            ///
            /// # Errors
            ///
            /// [`OptionError`] if there is no such option, which says which there are, or it does
            /// not take this value, which says what it takes.
            pub fn set(mut self, name: &str, value: &str) -> Result<Self, OptionError> {
                let unknown = || OptionError::Unknown {
                    name: name.to_owned(),
                    known: Self::OPTIONS,
                };
                let index = Self::OPTIONS.iter().position(|option| option.name == name);
                let index = index.ok_or_else(unknown)?;
                let wrong = || OptionError::Value {
                    option: Self::OPTIONS[index],
                    value: value.to_owned(),
                };
                let mut row = 0;
                $(
                    if row == index {
                        let parsed = $crate::options::option_text!(
                            parse value as $type $(, $low to $high)? $(, $form)?
                        );
                        self.$method = parsed.ok_or_else(wrong)?;
                    }
                    row += 1;
                )*
                debug_assert!(index < row);
                Ok(self)
            }

            $(
                $(#[$doc])*
                pub fn $method(mut self, $parameter: $type) -> Self {
                    self.$method = $parameter;
                    self
                }
            )*

            /// Says what value is out of range, if any is.
            fn check(&self) -> Result<(), $error> {
                $($(
                    let $parameter = self.$method;
                    if let Some(error) = $refusal {
                        return Err(error);
                    }
                )?)*
                Ok(())
            }
        }
    };
}
pub(crate) use options;
