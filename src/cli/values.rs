//! The values of options as text: sizes, counts, frequencies, addresses, times.
//!
//! Each is a type with one parser and one printer, so that an option reads the same on the command
//! line and in a configuration file, and what is printed can be read back. Nothing here rounds: a
//! text that names no exact whole number is refused.

use std::fmt;
use std::net::SocketAddr;
use std::str::FromStr;
use std::time::Duration;

/// Why a value was refused, in words for the user.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct ValueError(pub(crate) String);

impl fmt::Display for ValueError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for ValueError {}

/// Reads and writes a value in configuration files as the text that the command line takes; a bare
/// TOML integer stands for its decimal text.
macro_rules! serde_as_text {
    ($($name:ty),+ $(,)?) => {$(
        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                to.collect_str(self)
            }
        }
        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                $crate::cli::values::from_text(from)
            }
        }
    )+};
}
pub(crate) use serde_as_text;

/// The body of `serde_as_text`'s `deserialize`.
pub(crate) fn from_text<'de, D, T>(from: D) -> Result<T, D::Error>
where
    D: serde::Deserializer<'de>,
    T: FromStr<Err = ValueError>,
{
    struct Text<T>(std::marker::PhantomData<T>);
    impl<T: FromStr<Err = ValueError>> serde::de::Visitor<'_> for Text<T> {
        type Value = T;
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a text as on the command line, or a whole number")
        }
        fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<T, E> {
            text.parse().map_err(E::custom)
        }
        fn visit_i64<E: serde::de::Error>(self, number: i64) -> Result<T, E> {
            self.visit_str(&number.to_string())
        }
        fn visit_u64<E: serde::de::Error>(self, number: u64) -> Result<T, E> {
            self.visit_str(&number.to_string())
        }
        fn visit_f64<E: serde::de::Error>(self, number: f64) -> Result<T, E> {
            self.visit_str(&number.to_string())
        }
    }
    from.deserialize_any(Text(std::marker::PhantomData))
}

/// A size in bytes: `2G`, `512M`, `64KiB`, `4096`; the letters are powers of 1024.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Size(pub(crate) u64);

impl FromStr for Size {
    type Err = ValueError;
    fn from_str(text: &str) -> Result<Self, ValueError> {
        let (number, unit) = split_unit(text);
        let scale = match unit.to_ascii_lowercase().trim_end_matches('b').trim_end_matches('i') {
            "" => 0,
            "k" => 10,
            "m" => 20,
            "g" => 30,
            "t" => 40,
            _ => {
                return Err(ValueError(format!(
                    "'{text}' is no size; write bytes or K, M, G, T, such as 512M or 2G"
                )));
            }
        };
        exact(number, 1 << scale)
            .map(Self)
            .ok_or_else(|| ValueError(format!("'{text}' is no size; write, for example, 2G")))
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (mut number, mut letters) = (self.0, ["", "K", "M", "G", "T"].iter());
        let mut letter = letters.next();
        while number != 0 && number.is_multiple_of(1024) && letters.len() > 0 {
            number /= 1024;
            letter = letters.next();
        }
        write!(f, "{number}{}", letter.unwrap_or(&""))
    }
}

/// A whole number of things: `1000000`, `1_000_000`, `1e6`, `2.5e6`, `0x10`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Count(pub(crate) u64);

impl FromStr for Count {
    type Err = ValueError;
    fn from_str(text: &str) -> Result<Self, ValueError> {
        exact(text, 1).map(Self).ok_or_else(|| {
            ValueError(format!("'{text}' is no count; write, for example, 1000000 or 1e6"))
        })
    }
}

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A frequency in Hz: `1GHz`, `800MHz`, `1e9`; the letters are powers of 1000.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Hertz(pub(crate) u64);

impl FromStr for Hertz {
    type Err = ValueError;
    fn from_str(text: &str) -> Result<Self, ValueError> {
        let (number, unit) = split_unit(text);
        let scale = match unit.to_ascii_lowercase().trim_end_matches("hz") {
            "" => 1,
            "k" => 1_000,
            "m" => 1_000_000,
            "g" => 1_000_000_000,
            _ => 0,
        };
        exact(number, scale).filter(|&hz| hz != 0).map(Self).ok_or_else(|| {
            ValueError(format!("'{text}' is no frequency; write, for example, 1GHz or 800e6"))
        })
    }
}

impl fmt::Display for Hertz {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (scale, unit) = match self.0 {
            hz if hz >= 1_000_000_000 => (1_000_000_000, "GHz"),
            hz if hz >= 1_000_000 => (1_000_000, "MHz"),
            hz if hz >= 1_000 => (1_000, "kHz"),
            _ => (1, "Hz"),
        };
        let digits = format!("{:09}", self.0 % scale * (1_000_000_000 / scale));
        let fraction = digits.trim_end_matches('0');
        let point = if fraction.is_empty() { "" } else { "." };
        write!(f, "{}{point}{fraction}{unit}", self.0 / scale)
    }
}

/// A physical address: `0x80000000`, or decimal.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Address(pub(crate) u64);

impl FromStr for Address {
    type Err = ValueError;
    fn from_str(text: &str) -> Result<Self, ValueError> {
        exact(text, 1).map(Self).ok_or_else(|| {
            ValueError(format!("'{text}' is no address; write, for example, 0x80000000"))
        })
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}", self.0)
    }
}

/// A time in seconds: `10`, `0.5`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Seconds(pub(crate) Duration);

impl FromStr for Seconds {
    type Err = ValueError;
    fn from_str(text: &str) -> Result<Self, ValueError> {
        exact(text.strip_suffix('s').unwrap_or(text), 1_000_000_000)
            .map(|nanoseconds| Self(Duration::from_nanos(nanoseconds)))
            .ok_or_else(|| ValueError(format!("'{text}' is no time; write seconds, such as 10")))
    }
}

impl fmt::Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = format!("{:09}", self.0.subsec_nanos());
        let fraction = digits.trim_end_matches('0');
        let point = if fraction.is_empty() { "" } else { "." };
        write!(f, "{}{point}{fraction}", self.0.as_secs())
    }
}

/// Where debuggers connect: `1234` on the loopback interface, or `ADDRESS:PORT`; port 0 is any free one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Listen(pub(crate) SocketAddr);

impl FromStr for Listen {
    type Err = ValueError;
    fn from_str(text: &str) -> Result<Self, ValueError> {
        let (address, port) = text.rsplit_once(':').unwrap_or(("", text));
        let whole = match address {
            "" | "localhost" => format!("127.0.0.1:{port}"),
            _ => text.to_owned(),
        };
        whole.parse().map(Self).map_err(|_| {
            ValueError(format!("'{text}' is no port; write, for example, 1234 or 127.0.0.1:1234"))
        })
    }
}

impl fmt::Display for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

serde_as_text!(Size, Count, Hertz, Address, Seconds, Listen);

/// Splits `2.5GiB` into number and unit; hexadecimal numbers have no unit.
fn split_unit(text: &str) -> (&str, &str) {
    if text.starts_with("0x") {
        return (text, "");
    }
    let body = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    (body, &text[body.len()..])
}

/// The number that `text` times `scale` is, when it is whole and fits 64 bits.
fn exact(text: &str, scale: u64) -> Option<u64> {
    let plain: String = text.chars().filter(|&c| c != '_').collect();
    if let Some(digits) = plain.strip_prefix("0x") {
        let all_hex = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_hexdigit());
        return all_hex.then(|| u64::from_str_radix(digits, 16).ok())??.checked_mul(scale);
    }
    let (mantissa, exponent) = match plain.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<u32>().ok()?),
        None => (plain.as_str(), 0),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let fraction = fraction.trim_end_matches('0');
    let digits = format!("{whole}{fraction}");
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) || fraction.len() > 18 {
        return None;
    }
    let number: u128 = digits.parse().ok()?;
    if number == 0 {
        return Some(0);
    }
    let scaled = number.checked_mul(10u128.checked_pow(exponent)?)?.checked_mul(scale.into())?;
    let divisor = 10u128.pow(u32::try_from(fraction.len()).ok()?);
    scaled.is_multiple_of(divisor).then(|| u64::try_from(scaled / divisor).ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_powers_of_1024() {
        for (text, bytes) in [
            ("4096", 4096),
            ("64K", 64 << 10),
            ("512M", 512 << 20),
            ("2G", 2 << 30),
            ("2GiB", 2 << 30),
            ("2gb", 2 << 30),
            ("1.5G", 3 << 29),
            ("1T", 1 << 40),
            ("0x1000", 4096),
        ] {
            assert_eq!(text.parse(), Ok(Size(bytes)), "{text}");
        }
    }

    #[test]
    fn counts_take_exponents_and_underscores() {
        for (text, count) in
            [("1e9", 1_000_000_000), ("2.5e6", 2_500_000), ("1_000", 1000), ("0", 0), ("1.0", 1)]
        {
            assert_eq!(text.parse(), Ok(Count(count)), "{text}");
        }
    }

    #[test]
    fn what_is_not_exact_is_refused() {
        for text in [
            "", "G", "-1", "1.5", "1e", "e9", "1e99", "0x", "0x+1", "2Q", "1e20", "1.2.3", "1 ",
            "1e-3", ".",
        ] {
            assert!(text.parse::<Count>().is_err(), "{text}");
            assert!(text.parse::<Address>().is_err(), "{text}");
        }
        for text in ["", "G", "-1G", "2Q", "17000000T", "1.3", "i", "0.3K"] {
            assert!(text.parse::<Size>().is_err(), "{text}");
        }
        for text in ["0", "", "hz", "1x", "0.5"] {
            assert!(text.parse::<Hertz>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_port_is_one_of_the_loopback_interface() {
        for (text, expected) in [
            ("1234", "127.0.0.1:1234"),
            (":0", "127.0.0.1:0"),
            ("localhost:9", "127.0.0.1:9"),
            ("0.0.0.0:1234", "0.0.0.0:1234"),
            ("[::1]:1234", "[::1]:1234"),
        ] {
            let listen: Listen = text.parse().unwrap();
            assert_eq!(listen.to_string(), expected);
            assert_eq!(expected.parse(), Ok(listen));
        }
        for text in ["", "x", "65536", "-1", "1.2.3:4", "::1:x", "tcp::1234"] {
            assert!(text.parse::<Listen>().is_err(), "{text}");
        }
    }

    #[test]
    fn what_is_printed_can_be_read_back() {
        for bytes in [0, 1, 1023, 1024, 3 << 29, 2 << 30, u64::MAX, 5 << 50] {
            assert_eq!(Size(bytes).to_string().parse(), Ok(Size(bytes)));
            assert_eq!(Count(bytes).to_string().parse(), Ok(Count(bytes)));
            assert_eq!(Address(bytes).to_string().parse(), Ok(Address(bytes)));
        }
        for hz in [1, 999, 1_500, 1_000_000_000, 1_234_567_891, 10_000_000] {
            assert_eq!(Hertz(hz).to_string().parse(), Ok(Hertz(hz)));
        }
        for milliseconds in [0, 500, 10_000, 1_001] {
            let time = Seconds(Duration::from_millis(milliseconds));
            assert_eq!(time.to_string().parse(), Ok(time));
        }
        assert_eq!(Size(2 << 30).to_string(), "2G");
        assert_eq!(Hertz(1_000_000_000).to_string(), "1GHz");
        assert_eq!(Hertz(1_500_000).to_string(), "1.5MHz");
    }
}
