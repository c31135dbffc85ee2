use factory_domain::schematic::SchematicId;

use super::*;

fn want(mark: usize) -> PlanAsset {
    PlanAsset {
        schematic: SchematicId::of(mark.to_string().as_bytes()),
        version: TalosVersion::parse("v1.12.4").unwrap(),
        path: AssetPath::accept("kernel-amd64").unwrap(),
        purpose: Purpose::Download,
    }
}

fn planned(inline: usize) -> Arc<PlannedAsset> {
    let layout = Layout::from_bytes(vec![1; inline]);
    Arc::new(PlannedAsset { layout, etag: "\"x\"".to_owned(), ignored: Vec::new(), installer: None })
}

#[test]
fn recent_plans_are_bounded_by_bytes_and_the_least_used_go_first() {
    let recent = Recent::default();
    let mib = 1 << 20;
    recent.remember(want(0), planned(mib));
    for mark in 1..100 {
        recent.remember(want(mark), planned(mib));
        assert!(recent.find(&want(0)).is_some(), "in use, after {mark} others");
    }
    let kept = (0..100).filter(|mark| recent.find(&want(*mark)).is_some()).count();
    assert!((40..=48).contains(&kept), "{kept} plans of a MiB are kept");
    assert!(recent.find(&want(99)).is_some() && recent.find(&want(1)).is_none());
}

#[test]
fn recent_plans_are_bounded_by_number() {
    let recent = Recent::default();
    for mark in 0..5000 {
        recent.remember(want(mark), planned(1));
    }
    let kept = (0..5000).filter(|mark| recent.find(&want(*mark)).is_some()).count();
    assert_eq!(kept, 4096);
    recent.forget(&want(4999));
    assert!(recent.find(&want(4999)).is_none());
    recent.remember(want(4999), planned(1));
    recent.remember(want(4999), planned(1));
    assert!(recent.find(&want(4999)).is_some(), "replacing one costs no other");
}

#[test]
fn evicted_blobs_are_a_reason_to_plan_again_and_other_failures_are_not() {
    use factory_domain::ports::StoreError;
    use factory_formats::Digest;

    use crate::parts::PartError;

    let missing = StoreError::Missing(Digest::of(b"x"));
    assert!(PlanError::from(missing.clone()).is_missing_blob());
    assert!(PlanError::from(PartError::from(missing)).is_missing_blob());
    assert!(!PlanError::from(StoreError::Full { reason: "x".to_owned() }).is_missing_blob());
    assert!(!PlanError::Busy("planner").is_missing_blob());
}
