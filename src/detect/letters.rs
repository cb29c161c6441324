//! How unlike a name that people chose a label is: rare pairs of letters, and digits mixed in.
//!
//! In: one label. Out: 0 (ordinary) to 1. The table was counted by us on names of published packages and of the catalog's destinations: row, then
//! column letter; each digit is the rounded `-log2` of the chance that the second letter follows the first, less one, at most nine.

const PAIRS: [&[u8; 26]; 26] = [
    b"84337648496342819232546756",
    b"25552666258266248336288749",
    b"38563782493268149342488869",
    b"24631557243564269446477759",
    b"34344657777342656123755468",
    b"27663388177267269344398749",
    b"37561744199454258246387668",
    b"16661788388667265463487959",
    b"44343449786341338432749595",
    b"18662887487848365806385889",
    b"24641546286455359534477858",
    b"26641678196358259734367849",
    b"14352778277446227646488849",
    b"36332428375674359721458769",
    b"55338648565331349244454579",
    b"37652774297268349351598839",
    b"56566779597166655454086797",
    b"26441658284545259533447849",
    b"46342673395456345731456749",
    b"26461673278557259234486849",
    b"44433629397332739232789488",
    b"28570757197767469756399979",
    b"27551681287564269435897779",
    b"36453666367437429551578639",
    b"34444446576332417522565676",
    b"26561664376545258656278633",
];

/// Mean value of random letters is near five, that of names near three.
const ORDINARY: f64 = 3.0;
/// A change between letter and digit weighs so much.
const CHANGE_WEIGHT: f64 = 1.6;
/// Shorter labels say nothing, in characters.
const LABEL_MIN: usize = 10;

fn pair(one: u8, two: u8) -> f64 {
    let place = |letter: u8| usize::from(letter.wrapping_sub(b'a'));
    let digit = PAIRS.get(place(one)).and_then(|row| row.get(place(two)));
    digit.map_or(0.0, |digit| f64::from(digit - b'0'))
}

/// How generated a label looks, 0 to 1; 0 for short and internationalised ones.
#[expect(clippy::cast_precision_loss, reason = "a label has at most 63 octets")]
pub fn generated(label: &str) -> f64 {
    if label.len() < LABEL_MIN || label.starts_with("xn--") {
        return 0.0;
    }
    let (mut pairs, mut sum, mut changes) = (0_u32, 0.0, 0_u32);
    for (one, two) in label.bytes().zip(label.bytes().skip(1)) {
        if one.is_ascii_lowercase() && two.is_ascii_lowercase() {
            pairs += 1;
            sum += pair(one, two);
        } else if one.is_ascii_alphanumeric() && two.is_ascii_alphanumeric() {
            changes += u32::from(one.is_ascii_digit() != two.is_ascii_digit());
        }
    }
    let characters = label.bytes().filter(u8::is_ascii_alphanumeric).count();
    let digits = label.bytes().filter(u8::is_ascii_digit).count();
    let of_digits = digits as f64 / characters.max(1) as f64;
    let letters = if pairs == 0 { 0.0 } else { ((sum / f64::from(pairs) - ORDINARY) / ORDINARY).max(0.0) };
    let mixed = CHANGE_WEIGHT * f64::from(changes) / characters.saturating_sub(1).max(1) as f64;
    (letters * (1.0 - of_digits) + mixed).clamp(0.0, 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_people_chose_are_ordinary() {
        for label in [
            "cloudflarestorage",
            "githubusercontent",
            "digitaloceanspaces",
            "pythonhosted",
            "elasticsearch",
            "letsencrypt",
            "googleapis",
            "stackoverflow",
            "newrelic-internal",
            "salesforceliveagent",
            "atlassian-dev",
            "3utilities",
            "example",
            "xn--bcher-kva-and-more",
            "vonruhstrasse",
            "krankenkassen",
            "weatherstation",
        ] {
            assert!(generated(label) < 0.4, "{label} {}", generated(label));
        }
    }

    #[test]
    fn random_letters_and_digits_are_not() {
        for label in ["qxvkzjwpgtb", "x7f3k9q2m4z1", "kq3v9x7z2p1mw", "a9f3e7c1b5d2e8", "hjkqwzxvbnmpl"] {
            assert!(generated(label) >= 0.5, "{label} {}", generated(label));
        }
    }
}
