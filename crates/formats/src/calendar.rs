//! Seconds since 1970 as a UTC date, for the date fields of file systems. There is no clock here.

/// A UTC date and time of day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Civil {
    /// Year, 1970 and later.
    pub year: u64,
    /// 1 to 12.
    pub month: u8,
    /// 1 to 31.
    pub day: u8,
    /// 0 to 23.
    pub hour: u8,
    /// 0 to 59.
    pub minute: u8,
    /// 0 to 59.
    pub second: u8,
}

const DAY: u64 = 24 * 60 * 60;

fn is_leap(year: u64) -> bool {
    year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
}

fn month_lengths(year: u64) -> [u64; 12] {
    let february = if is_leap(year) { 29 } else { 28 };
    [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]
}

impl Civil {
    /// Latest date that every format here can hold: FAT counts years in seven bits from 1980 on.
    const LAST: u64 = 4_354_819_199;

    /// The date of so many seconds after 1970-01-01 00:00:00 UTC; what lies behind 2107 becomes the
    /// last second of that year, where FAT's calendar ends.
    pub fn from_epoch(seconds: u64) -> Self {
        let seconds = seconds.min(Self::LAST);
        let (mut days, rest) = (seconds / DAY, seconds % DAY);
        let mut year = 1970;
        loop {
            let length = if is_leap(year) { 366 } else { 365 };
            if days < length {
                break;
            }
            days -= length;
            year += 1;
        }
        let mut month = 1;
        for length in month_lengths(year) {
            if days < length {
                break;
            }
            days -= length;
            month += 1;
        }
        Self {
            year,
            month,
            day: days as u8 + 1,
            hour: (rest / 3600) as u8,
            minute: (rest / 60 % 60) as u8,
            second: (rest % 60) as u8,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(seconds: u64) -> String {
        let c = Civil::from_epoch(seconds);
        format!("{}-{:02}-{:02} {:02}:{:02}:{:02}", c.year, c.month, c.day, c.hour, c.minute, c.second)
    }

    #[test]
    fn known_dates() {
        assert_eq!(text(0), "1970-01-01 00:00:00");
        assert_eq!(text(951_782_399), "2000-02-28 23:59:59");
        assert_eq!(text(951_868_799), "2000-02-29 23:59:59");
        assert_eq!(text(1_559_424_892), "2019-06-01 21:34:52");
        assert_eq!(text(4_107_542_400), "2100-03-01 00:00:00");
        assert_eq!(text(u64::MAX), "2107-12-31 23:59:59");
    }

    #[test]
    fn every_day_follows_the_one_before() {
        let mut last = Civil::from_epoch(0);
        for day in 1..60_000 {
            let next = Civil::from_epoch(day * DAY);
            let months = month_lengths(last.year);
            let end = u64::from(last.day) == months[usize::from(last.month) - 1];
            let want = match (end, last.month) {
                (false, _) => Civil { day: last.day + 1, ..last },
                (true, 12) => Civil { year: last.year + 1, month: 1, day: 1, ..last },
                (true, _) => Civil { month: last.month + 1, day: 1, ..last },
            };
            if next.year <= 2107 && day * DAY <= Civil::LAST {
                assert_eq!(next, want);
            }
            last = next;
        }
    }
}
