//! Where a layout has bytes that may differ from zero, in units of a container's clusters.

use std::ops::Range;

use bytes::Bytes;

use crate::layout::{Numbers, Run, RunSource};
use crate::{Extent, Layout, LayoutBuilder};

/// Units that hold a byte which may not be zero: ascending ranges that neither overlap nor touch. Inline
/// bytes are looked at; blobs count as a whole, for they are not read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Occupied(Vec<Range<u64>>);

impl Occupied {
    /// The units of `unit` bytes, at least 1, of a layout. The last one may be shorter.
    pub fn of(layout: &Layout, unit: u64) -> Self {
        let mut occupied = Self::default();
        for (start, extent) in layout.iter() {
            let end = start + extent.len();
            match extent {
                Extent::Zero(_) => {}
                Extent::Bytes(bytes) => occupied.push_bytes(start, bytes, unit),
                Extent::Run(run) if is_zero(run) => {}
                Extent::Blob(_) | Extent::Run(_) => occupied.push(start / unit..end.div_ceil(unit)),
            }
        }
        occupied
    }

    /// The ranges in order.
    pub fn ranges(&self) -> &[Range<u64>] {
        &self.0
    }

    /// Number of units.
    pub fn count(&self) -> u64 {
        self.0.iter().map(|range| range.end - range.start).sum()
    }

    /// The same in units that are `factor` times as long.
    pub fn coarser(&self, factor: u64) -> Self {
        let mut coarse = Self::default();
        for range in &self.0 {
            coarse.push(range.start / factor..range.end.div_ceil(factor));
        }
        coarse
    }

    /// The same with all gaps filled that are shorter than `gap` units.
    pub fn without_gaps_below(&self, gap: u64) -> Self {
        let mut filled = Self::default();
        for range in &self.0 {
            match filled.0.last_mut() {
                Some(last) if range.start - last.end < gap => last.end = range.end,
                _ => filled.0.push(range.clone()),
            }
        }
        filled
    }

    /// Appends a range that begins no earlier than the last one.
    fn push(&mut self, range: Range<u64>) {
        match self.0.last_mut() {
            Some(last) if range.start <= last.end => last.end = last.end.max(range.end),
            _ => self.0.push(range),
        }
    }

    fn push_bytes(&mut self, start: u64, bytes: &Bytes, unit: u64) {
        let mut at = start;
        let mut rest = &bytes[..];
        while !rest.is_empty() {
            let room = (unit - at % unit).min(rest.len() as u64);
            let (now, behind) = rest.split_at(room as usize);
            if now.iter().any(|&byte| byte != 0) {
                self.push(at / unit..at / unit + 1);
            }
            at += room;
            rest = behind;
        }
    }
}

fn is_zero(run: &Run) -> bool {
    matches!(run.source(), RunSource::Repeat(pattern) if pattern.iter().all(|&byte| byte == 0))
}

/// Entries of a run that is not worth being one.
const INLINE_ENTRIES: u64 = 16;

/// Appends a table with one entry for each unit: zero where there is nothing, and `numbers` in order where
/// there is. The table ends behind the last of `ranges`, which count from the table's start. Gives the
/// numbers that follow those used.
pub(crate) fn append_table(
    out: &mut LayoutBuilder,
    ranges: impl IntoIterator<Item = Range<u64>>,
    mut numbers: Numbers,
) -> Numbers {
    let (start, width) = (out.len(), numbers.form.width());
    for range in ranges {
        out.pad_to(start + range.start * width);
        let count = range.end - range.start;
        if count <= INLINE_ENTRIES {
            out.slice(&numbers.to_bytes(count));
        } else {
            out.run(Run::numbers(numbers, count));
        }
        numbers = numbers.after(count);
    }
    numbers
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::layout::NumberForm;
    use crate::testing::{MemoryBlobs, layout_of};

    fn slowly(bytes: &[u8], unit: usize) -> Vec<u64> {
        let units = bytes.chunks(unit).enumerate();
        units.filter(|(_, unit)| unit.iter().any(|&byte| byte != 0)).map(|(index, _)| index as u64).collect()
    }

    fn all(occupied: &Occupied) -> Vec<u64> {
        occupied.ranges().iter().cloned().flatten().collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn nothing_that_is_not_zero_is_missed(
            recipe in prop::collection::vec((any::<u8>(), 0u64..200_000), 0..8),
            unit in prop::sample::select(vec![3_u64, 512, 4096, 5000, 65536]),
        ) {
            let mut blobs = MemoryBlobs::new();
            let layout = layout_of(&recipe, &mut blobs, 1);
            let bytes = layout.to_vec(&blobs).unwrap();
            let occupied = Occupied::of(&layout, unit);
            let found = all(&occupied);
            prop_assert_eq!(found.len() as u64, occupied.count());
            prop_assert!(found.iter().all(|&k| k * unit < layout.len()));
            prop_assert!(occupied.ranges().windows(2).all(|pair| pair[0].end < pair[1].start));
            prop_assert!(slowly(&bytes, unit as usize).iter().all(|k| found.binary_search(k).is_ok()));

            let mut coarse: Vec<u64> = found.iter().map(|k| k / 7).collect();
            coarse.dedup();
            prop_assert_eq!(all(&occupied.coarser(7)), coarse);
            let filled = occupied.without_gaps_below(5);
            prop_assert!(filled.ranges().windows(2).all(|pair| pair[0].end + 5 <= pair[1].start));
            let filled = all(&filled);
            prop_assert!(found.iter().all(|k| filled.binary_search(k).is_ok()));
            prop_assert_eq!((filled.first(), filled.last()), (found.first(), found.last()));
        }
    }

    #[test]
    fn zeros_of_any_kind_are_holes() {
        let mut builder = LayoutBuilder::new();
        builder.bytes(vec![0; 9000]).run(Run::repeat(vec![0; 3].into(), 4000)).zero(1).slice(b"x").zero(700);
        let layout = builder.build();
        assert_eq!(all(&Occupied::of(&layout, 1)), [21_001]);
        assert_eq!(all(&Occupied::of(&layout, 1000)), [21]);
    }

    #[test]
    fn tables_count_over_holes() {
        let numbers = Numbers { first: 100, step: 3, form: NumberForm::Le32 };
        let mut out = LayoutBuilder::new();
        out.slice(b"head");
        let next = append_table(&mut out, [1..3, 5..30], numbers);
        assert_eq!(next.first, 100 + 27 * 3);
        let bytes = out.build().inline_bytes().unwrap();
        let (head, entries) = bytes.split_at(4);
        assert_eq!(head, b"head");
        let entries: Vec<u32> = entries.as_chunks().0.iter().map(|e| u32::from_le_bytes(*e)).collect();
        assert_eq!(entries[..7], [0, 100, 103, 0, 0, 106, 109]);
        assert_eq!((entries.len(), entries.last()), (30, Some(&178)));
    }
}
