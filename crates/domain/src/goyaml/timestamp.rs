//! Timestamps as plain scalars.

/// Reads the forms `Y-M-D`, `Y-M-D h:m:s` and `Y-M-Dth:m:s` with a zone, and gives the RFC 3339 text
/// of the same moment; the year has four digits, the others one or two, seconds may have a fraction.
pub(super) fn normalize(text: &str) -> Option<String> {
    let mut rest = Rest(text);
    let year = rest.fixed_digits(4)?;
    rest.literal('-')?;
    let month = rest.one_or_two_digits()?;
    rest.literal('-')?;
    let day = rest.one_or_two_digits()?;
    if !(1..=12).contains(&month) || day < 1 || day > days_in(month, year) {
        return None;
    }
    let date = format!("{year:04}-{month:02}-{day:02}");
    if rest.0.is_empty() {
        return Some(format!("{date}T00:00:00Z"));
    }
    let separator = rest.next()?;
    let hour = rest.one_or_two_digits().filter(|hour| *hour < 24)?;
    rest.literal(':')?;
    let minute = rest.one_or_two_digits().filter(|minute| *minute < 60)?;
    rest.literal(':')?;
    let second = rest.one_or_two_digits().filter(|second| *second < 60)?;
    let fraction = rest.fraction();
    let zone = match separator {
        'T' | 't' => rest.zone()?,
        ' ' => "Z".to_owned(),
        _ => return None,
    };
    rest.0.is_empty().then(|| format!("{date}T{hour:02}:{minute:02}:{second:02}{fraction}{zone}"))
}

fn days_in(month: u32, year: u32) -> u32 {
    match month {
        2 if year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400)) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// What is left to read.
struct Rest<'a>(&'a str);

impl Rest<'_> {
    fn next(&mut self) -> Option<char> {
        let mut chars = self.0.chars();
        let c = chars.next()?;
        self.0 = chars.as_str();
        Some(c)
    }

    fn literal(&mut self, wanted: char) -> Option<()> {
        self.0 = self.0.strip_prefix(wanted)?;
        Some(())
    }

    fn fixed_digits(&mut self, count: usize) -> Option<u32> {
        let (digits, rest) = self.0.split_at_checked(count)?;
        if !digits.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        self.0 = rest;
        digits.parse().ok()
    }

    fn one_or_two_digits(&mut self) -> Option<u32> {
        self.fixed_digits(2).or_else(|| self.fixed_digits(1))
    }

    /// A fraction without trailing zeros, cut to nanoseconds; empty when there is none.
    fn fraction(&mut self) -> String {
        let Some(digits) = self.0.strip_prefix(['.', ',']) else { return String::new() };
        let count = digits.bytes().take_while(u8::is_ascii_digit).count();
        let (digits, rest) = digits.split_at_checked(count).unwrap_or((digits, ""));
        if count == 0 {
            return String::new();
        }
        self.0 = rest;
        let nanoseconds = digits.get(..9).unwrap_or(digits).trim_end_matches('0');
        if nanoseconds.is_empty() { String::new() } else { format!(".{nanoseconds}") }
    }

    /// `Z` or an offset `±hh:mm`.
    fn zone(&mut self) -> Option<String> {
        let sign = self.next()?;
        if sign == 'Z' {
            return Some("Z".to_owned());
        }
        if !matches!(sign, '+' | '-') {
            return None;
        }
        let hours = self.fixed_digits(2).filter(|hours| *hours <= 24)?;
        self.literal(':')?;
        let minutes = self.fixed_digits(2).filter(|minutes| *minutes < 60)?;
        if hours == 0 && minutes == 0 {
            return Some("Z".to_owned());
        }
        Some(format!("{sign}{hours:02}:{minutes:02}"))
    }
}

#[cfg(test)]
mod tests {
    use super::normalize;

    #[test]
    fn reads_the_four_forms() {
        for (text, normal) in [
            ("2024-01-02", "2024-01-02T00:00:00Z"),
            ("2024-1-2", "2024-01-02T00:00:00Z"),
            ("2024-02-29", "2024-02-29T00:00:00Z"),
            ("2024-01-02T03:04:05Z", "2024-01-02T03:04:05Z"),
            ("2024-01-02t3:4:5.120Z", "2024-01-02T03:04:05.12Z"),
            ("2024-01-02T03:04:05.000+01:30", "2024-01-02T03:04:05+01:30"),
            ("2024-01-02 03:04:05.5", "2024-01-02T03:04:05.5Z"),
            ("2024-01-02T03:04:05+00:00", "2024-01-02T03:04:05Z"),
        ] {
            assert_eq!(normalize(text).as_deref(), Some(normal), "{text}");
        }
    }

    #[test]
    fn leaves_other_texts_alone() {
        for text in [
            "",
            "2024",
            "2024-01",
            "24-01-02",
            "2024-13-01",
            "2024-00-01",
            "2023-02-29",
            "2024-04-31",
            "2024-01-02T",
            "2024-01-02T03:04:05",
            "2024-01-02 03:04:05Z",
            "2024-01-02 24:00:00",
            "2024-01-02T03:04:05z",
            "2024-01-02T03:04:05+1:00",
            "2024-01-02T03:04:05.Z",
            "2024-01-02x",
            "é024-01-02",
        ] {
            assert_eq!(normalize(text), None, "{text}");
        }
    }
}
