//! Numbers, addresses, times and strings as Cilium's JSON spells them, appended to a byte buffer.
//!
//! In: values. Out: bytes. Never allocates on the way except for the rarely changing date.

use std::fmt::Display;
use std::io::Write as _;
use std::net::IpAddr;

use crate::model::Timestamp;

/// Appends a decimal number.
pub fn decimal(out: &mut Vec<u8>, value: u64) {
    let mut digits = [0_u8; 20];
    let mut rest = value;
    let mut used = 0;
    for slot in digits.iter_mut().rev() {
        *slot = b'0' + u8::try_from(rest % 10).unwrap_or(0);
        rest /= 10;
        used += 1;
        if rest == 0 {
            break;
        }
    }
    out.extend(digits.iter().skip(digits.len() - used));
}

/// Appends anything that prints itself.
pub fn shown(out: &mut Vec<u8>, value: impl Display) {
    // Writing to a Vec never fails.
    write!(out, "{value}").unwrap_or_default();
}

/// Appends an address in its canonical text form.
pub fn address(out: &mut Vec<u8>, address: IpAddr) {
    match address {
        IpAddr::V4(v4) => {
            for (index, octet) in v4.octets().into_iter().enumerate() {
                if index > 0 {
                    out.push(b'.');
                }
                decimal(out, u64::from(octet));
            }
        }
        IpAddr::V6(v6) => shown(out, v6),
    }
}

/// Appends the lower-case hexadecimal form of `octets`.
pub fn hexadecimal(out: &mut Vec<u8>, octets: &[u8]) {
    let digit = |nibble: u8| if nibble < 10 { b'0' + nibble } else { b'a' + nibble - 10 };
    out.extend(octets.iter().flat_map(|octet| [digit(octet >> 4), digit(octet & 15)]));
}

/// Appends a JSON string with the escapes of Go's encoder, which also hides `&`, `<` and `>`.
pub fn quoted(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    for byte in text.bytes() {
        match byte {
            b'"' => out.extend_from_slice(b"\\\""),
            b'\\' => out.extend_from_slice(b"\\\\"),
            b'&' | b'<' | b'>' | 0..=0x1f => {
                out.extend_from_slice(b"\\u00");
                hexadecimal(out, &[byte]);
            }
            _ => out.push(byte),
        }
    }
    out.push(b'"');
}

/// Appends a JSON array of strings.
pub fn quoted_list<'a>(out: &mut Vec<u8>, texts: impl IntoIterator<Item = &'a str>) {
    let mut separator = b'[';
    for text in texts {
        out.push(separator);
        quoted(out, text);
        separator = b',';
    }
    if separator == b'[' {
        out.push(separator);
    }
    out.push(b']');
}

/// Appends `value` as a random (version 4) UUID, RFC 9562 section 5.4.
pub fn uuid(out: &mut Vec<u8>, value: u128) {
    let value = (value & !(0xf << 76) & !(0x3 << 62)) | (0x4 << 76) | (0x2 << 62);
    let octets = value.to_be_bytes();
    for (index, octet) in octets.iter().enumerate() {
        if matches!(index, 4 | 6 | 8 | 10) {
            out.push(b'-');
        }
        hexadecimal(out, &[*octet]);
    }
}

/// Writes times as protobuf's JSON mapping does: UTC, 0, 3, 6 or 9 fraction digits. Remembers the last date.
#[derive(Clone, Debug, Default)]
pub struct Clock {
    day: i64,
    date: String,
}

const NANOS_PER_DAY: i64 = 86_400_000_000_000;

impl Clock {
    /// Appends `time`.
    pub fn write(&mut self, out: &mut Vec<u8>, time: Timestamp) {
        let nanos = time.nanos();
        let day = nanos.div_euclid(NANOS_PER_DAY);
        if self.date.is_empty() || day != self.day {
            self.day = day;
            self.date = time.date();
        }
        out.extend_from_slice(self.date.as_bytes());
        let of_day = u64::try_from(nanos.rem_euclid(NANOS_PER_DAY)).unwrap_or(0);
        let seconds = of_day / 1_000_000_000;
        for (separator, number) in [(b'T', seconds / 3_600), (b':', seconds / 60 % 60), (b':', seconds % 60)] {
            out.push(separator);
            padded(out, number, 2);
        }
        match of_day % 1_000_000_000 {
            0 => {}
            fraction => {
                out.push(b'.');
                if fraction.is_multiple_of(1_000_000) {
                    padded(out, fraction / 1_000_000, 3);
                } else if fraction.is_multiple_of(1_000) {
                    padded(out, fraction / 1_000, 6);
                } else {
                    padded(out, fraction, 9);
                }
            }
        }
        out.push(b'Z');
    }
}

fn padded(out: &mut Vec<u8>, value: u64, width: u32) {
    for place in (0..width).rev() {
        out.push(b'0' + u8::try_from(value / 10_u64.pow(place) % 10).unwrap_or(0));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn numbers_and_addresses_read_as_everywhere() {
        for number in [0, 7, 10, 99, 100, 65_535, u64::MAX] {
            assert_eq!(written(|out| decimal(out, number)), number.to_string());
        }
        for text in ["10.0.255.1", "0.0.0.0", "fd00:10::1", "::ffff:1.2.3.4"] {
            assert_eq!(written(|out| address(out, text.parse().unwrap())), text);
        }
    }

    #[test]
    fn strings_survive_a_json_parser() {
        for text in ["", "a/b=c", "quote \" back \\ slash", "a&b<c>d", "tab\tline\n", "bücher"] {
            let json = written(|out| quoted(out, text));
            assert_eq!(serde_json::from_str::<String>(&json).unwrap(), text, "{json}");
        }
        assert_eq!(written(|out| quoted(out, "a&b")), r#""a\u0026b""#);
        assert_eq!(written(|out| quoted_list(out, [])), "[]");
        assert_eq!(written(|out| quoted_list(out, ["a", "b"])), r#"["a","b"]"#);
    }

    #[test]
    fn times_have_the_fraction_digits_of_protobuf() {
        let mut clock = Clock::default();
        let mut check = |nanos: i64, expected: &str| {
            assert_eq!(written(|out| clock.write(out, Timestamp::from_nanos(nanos))), expected);
        };
        check(0, "1970-01-01T00:00:00Z");
        check(1_772_409_600_000_000_000, "2026-03-02T00:00:00Z");
        check(1_772_409_600_120_000_000, "2026-03-02T00:00:00.120Z");
        check(1_772_409_600_000_120_000, "2026-03-02T00:00:00.000120Z");
        check(1_772_495_999_000_000_001, "2026-03-02T23:59:59.000000001Z");
        check(1_772_496_000_000_000_000, "2026-03-03T00:00:00Z");
    }

    #[test]
    fn uuids_carry_version_and_variant() {
        assert_eq!(written(|out| uuid(out, u128::MAX)), "ffffffff-ffff-4fff-bfff-ffffffffffff");
        assert_eq!(written(|out| uuid(out, 0)), "00000000-0000-4000-8000-000000000000");
    }
}
