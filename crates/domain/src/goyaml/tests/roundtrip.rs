//! What was written is read back as the same.

use proptest::prelude::*;

use super::*;

/// Texts of characters that matter to YAML.
fn text() -> impl Strategy<Value = String> {
    let special = proptest::sample::select(
        " \n\t:#-?,[]{}&*!|>'\"%@`\\=~.0123456789_+aeENnoyTZx<\r\u{85}\u{a0}\u{2028}\u{2029}\u{feff}\u{7f}\u{1}é日🚀"
            .chars()
            .collect::<Vec<_>>(),
    );
    let word = proptest::sample::select(vec![
        "",
        "yes",
        "off",
        "null",
        "~",
        "<<",
        "true",
        "0x1",
        "1_0",
        "1:20",
        "2024-01-02",
        ".inf",
        "-0",
        "---",
        "a: b",
    ]);
    prop_oneof![
        4 => proptest::collection::vec(special, 0..12).prop_map(|chars| chars.into_iter().collect()),
        1 => word.prop_map(str::to_owned),
        1 => any::<String>(),
    ]
}

/// Keys of letters, digits and others, as people use them.
fn key() -> impl Strategy<Value = String> {
    "[a-cA-C0-2_.é-]{0,6}"
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        any::<i64>().prop_map(Value::Int),
        (i64::MAX as u64 + 1..).prop_map(Value::Uint),
        // A number without a fraction is read back as an integer.
        (-1_000_000_000_i64..1_000_000_000).prop_map(|n| Value::Float(n as f64 + 0.5)),
        (1_i64..1_000_000).prop_map(|n| Value::Float(n as f64 * 1e-9 + 1e-12)),
        Just(Value::Timestamp("2024-01-02T03:04:05.5Z".to_owned())),
        text().prop_map(Value::String),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::Sequence),
            proptest::collection::btree_map(text(), inner, 0..4).prop_map(|entries| {
                let mut mapping = Mapping::new();
                for (key, value) in entries {
                    mapping.push(key.as_str(), value);
                }
                mapping.sort();
                Value::Mapping(mapping)
            }),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn emitted_values_are_read_back(value in value()) {
        let limits = Limits::default();
        let written = emit(&value);
        let document = read_emitted(written.as_bytes(), &limits).map_err(|e| TestCaseError::fail(e.to_string()))?;
        let read = decode_any(&document, &limits).map_err(|e| TestCaseError::fail(e.to_string()))?;
        prop_assert_eq!(&read, &value, "{}", written);
        prop_assert_eq!(emit(&read), written);
    }

    #[test]
    fn whatever_is_accepted_has_one_canonical_form(text in text()) {
        if let Ok(first) = canonical(&text) {
            let document = read_emitted(first.as_bytes(), &Limits::default()).unwrap();
            let again = emit(&decode_any(&document, &Limits::default()).unwrap());
            prop_assert_eq!(first, again);
        }
    }

    #[test]
    fn no_bytes_cause_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = canonical(&bytes);
        let _ = check_bounds(&bytes, &Limits::default());
    }

    #[test]
    fn the_order_of_keys_is_that_of_no_input(keys in proptest::collection::btree_set(key(), 0..40)) {
        let sorted = |keys: &mut dyn Iterator<Item = &String>| {
            let mut mapping = Mapping::new();
            for key in keys {
                mapping.push(key.as_str(), Value::Null);
            }
            mapping.sort();
            mapping
        };
        prop_assert_eq!(sorted(&mut keys.iter()), sorted(&mut keys.iter().rev()));
    }
}
