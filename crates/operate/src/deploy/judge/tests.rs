use proptest::prelude::*;

use super::recent::percentile;
use super::*;

const LOOK: Duration = Duration::from_millis(500);

fn nothing() -> [Counts; 2] {
    [Counts::default(), Counts::default()]
}

fn judge() -> Judge {
    Judge::new(Colour::Green, Tolerance::default(), LOOK, nothing())
}

fn counts(requests: u64, errors: u64, latency: u32, timed: usize) -> Counts {
    Counts {
        requests,
        errors,
        passed: requests,
        latencies: vec![latency; timed],
        in_progress: Some(0),
        untold: None,
    }
}

fn judged(old: Counts, new: Counts) -> Verdict {
    let mut judge = judge();
    let patience = Tolerance::default().patience;
    let looks = (0..patience).map(|_| judge.see([old.clone(), new.clone()], &Probe::Answered));
    looks.last().unwrap()
}

#[test]
fn who_has_just_started_may_be_cold() {
    let mut judge = judge();
    let mut look = |latency| {
        let both = [counts(1000, 0, 10, 100), counts(100, 0, latency, 60)];
        judge.see(both, &Probe::Answered)
    };
    for _ in 0..4 {
        assert_eq!(look(200), Verdict::Good);
    }
    assert_eq!(look(10), Verdict::Good);
    for _ in 0..4 {
        assert_eq!(look(200), Verdict::Good);
    }
    assert!(matches!(look(200), Verdict::Bad(_)));
}

#[test]
fn a_release_is_judged_beside_the_old_one() {
    let old = || counts(1000, 0, 10, 1000);
    assert_eq!(judged(old(), counts(100, 0, 12, 100)), Verdict::Good);
    assert_eq!(judged(old(), counts(9, 0, 900, 9)), Verdict::Inconclusive);
    assert_eq!(judged(old(), counts(0, 0, 0, 0)), Verdict::Inconclusive);
    assert_eq!(judged(old(), counts(199, 0, 0, 0)), Verdict::Inconclusive);
    for (new, why) in [
        (
            counts(100, 4, 10, 96),
            "4 of 100 requests failed (4.00 %), 0.00 %",
        ),
        (counts(100, 0, 200, 100), "is 200 ms, 10 ms"),
        (
            counts(200, 0, 0, 0),
            "200 requests came and nobody tells how long",
        ),
    ] {
        match judged(old(), new) {
            Verdict::Bad(said) => assert!(said.contains(why), "{said}"),
            other => panic!("{other:?}"),
        }
    }
    // Three errors are bad luck, and what is as bad as the old one is no worse.
    assert_eq!(judged(old(), counts(100, 3, 10, 97)), Verdict::Good);
    assert_eq!(
        judged(counts(1000, 40, 10, 960), counts(100, 4, 10, 96)),
        Verdict::Good
    );
}

#[test]
fn the_objective_holds_whatever_the_old_release_does() {
    let against = |new: Counts| {
        let mut judge = judge().against(Some(Objective::default()));
        // The old one is as bad.
        let looks = (0..Tolerance::default().patience)
            .map(|_| judge.see([new.clone(), new.clone()], &Probe::Answered));
        looks.last().unwrap()
    };
    let busy = |in_progress| Counts {
        in_progress: Some(in_progress),
        ..counts(1000, 0, 10, 1000)
    };
    for (new, why) in [
        (counts(1000, 30, 10, 970), "30 times as fast as it lasts"),
        (
            counts(1000, 0, 900, 1000),
            "is 900 ms, the objective is 500 ms",
        ),
        (busy(1001), "it is saturated: 1001 requests"),
    ] {
        match against(new) {
            Verdict::Bad(said) => assert!(said.contains(why), "{said}"),
            other => panic!("{why}: {other:?}"),
        }
    }
    assert_eq!(against(counts(1000, 10, 400, 990)), Verdict::Good);
    assert_eq!(against(busy(1000)), Verdict::Good);
}

#[test]
fn requests_that_pile_up_are_saturation_unless_they_did_at_the_old_release() {
    let busy = |requests, in_progress| Counts {
        in_progress,
        ..counts(requests, 0, 10, usize::try_from(requests).unwrap())
    };
    // What hangs is never answered and never timed, so nothing else sees it.
    for hanging in [busy(100, Some(40)), busy(0, Some(40))] {
        match judged(busy(1000, Some(3)), hanging) {
            Verdict::Bad(said) => {
                assert!(said.contains("it is saturated: 40 requests"), "{said}");
            }
            other => panic!("{other:?}"),
        }
    }
    // A tenth of the traffic and a tenth of what is in progress; few; nobody counts at one of the two.
    for (old, new) in [
        (busy(1000, Some(400)), busy(100, Some(40))),
        (busy(1000, Some(3)), busy(100, Some(19))),
        (busy(1000, None), busy(100, Some(40))),
        (busy(1000, Some(3)), busy(100, None)),
    ] {
        assert_eq!(
            judged(old.clone(), new.clone()),
            Verdict::Good,
            "{old:?} {new:?}"
        );
    }
}

#[test]
fn saturation_with_all_of_the_traffic_is_judged_beside_the_old_release_as_it_was() {
    let before = Figures {
        requests: 1000,
        timed: 1000,
        p95: 10,
        piled: Some(0.01),
        ..Figures::default()
    };
    let alone = |before: Option<Figures>| {
        let mut judge = judge().beside(before);
        let full = Counts {
            in_progress: Some(60),
            ..counts(900, 0, 10, 900)
        };
        let old = counts(0, 0, 0, 0);
        let patience = Tolerance::default().patience;
        let looks = (0..patience).map(|_| judge.see([old.clone(), full.clone()], &Probe::Answered));
        looks.last().unwrap()
    };
    assert!(matches!(alone(Some(before)), Verdict::Bad(_)));
    assert_eq!(alone(None), Verdict::Good, "with nothing to compare");
}

#[test]
fn what_nobody_tells_of_is_lost_contact_unless_it_is_the_old_release_or_one_that_was_kept() {
    let untold = || Counts {
        untold: Some("no pod tells".to_owned()),
        ..Counts::default()
    };
    let told = || counts(100, 0, 10, 100);
    // The old one is blue.
    let (new_is_silent, old_is_silent) = (|| [told(), untold()], || [untold(), told()]);
    let last = |judge: &mut Judge, both: &dyn Fn() -> [Counts; 2]| {
        let looks = (0..5).map(|_| judge.see(both(), &Probe::Answered));
        looks.last().unwrap()
    };
    let (mut new, mut old, mut kept) = (judge(), judge(), judge().trusting(true));
    match last(&mut new, &new_is_silent) {
        Verdict::Bad(said) => assert!(said.contains("no pod tells"), "{said}"),
        other => panic!("{other:?}"),
    }
    assert_eq!(last(&mut old, &old_is_silent), Verdict::Good);
    assert_eq!(last(&mut kept, &new_is_silent), Verdict::Inconclusive);
    // Nor is one that was kept compared with the bad one that it is to replace.
    let worse = || [counts(1000, 0, 10, 1000), counts(1000, 500, 9000, 1000)];
    let mut kept = judge().trusting(true);
    assert_eq!(last(&mut kept, &worse), Verdict::Inconclusive);
    // What its own requests find counts all the same.
    let gone = Probe::Gone("its process ended".to_owned());
    let verdict = judge().see([told(), untold()], &gone);
    assert_eq!(verdict, Verdict::Bad("its process ended".to_owned()));
}

/// 40 requests a second, 2 of them at the new release; both fail alike for two seconds.
#[test]
fn what_hits_both_is_nobodys_fault_however_few_come_to_one() {
    let mut judge = judge();
    for look in 1..=200u64 {
        let struck = look.clamp(10, 14) - 10;
        let old = counts(19 * look, 8 * struck, 10, 19);
        let new = counts(look, struck / 2, 10, 1);
        let verdict = judge.see([old, new], &Probe::Answered);
        assert!(!matches!(verdict, Verdict::Bad(_)), "{look}: {verdict:?}");
    }
}

/// A random number generator that is the same each time: one step of xorshift64*.
fn roll(state: &mut u64) -> f64 {
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    (state.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 11) as f64 / (1u64 << 53) as f64
}

/// A hundred deploys of a release that is as good as the old one, twenty seconds each; how many are taken back.
fn taken_back(a_look: [u64; 2], fails: f64, slow: f64) -> usize {
    let mut state = 0x9E37_79B9_7F4A_7C15;
    let mut taken = 0;
    for _ in 0..100 {
        let (mut judge, mut so_far) = (judge(), nothing());
        let looks = (0..40).map(|_| {
            for (counts, came) in so_far.iter_mut().zip(a_look) {
                counts.requests += came;
                counts.errors += (0..came).filter(|_| roll(&mut state) < fails).count() as u64;
                let took = |_| if roll(&mut state) < slow { 300 } else { 10 };
                counts.latencies = (0..came).map(took).collect();
            }
            judge.see(so_far.clone(), &Probe::Answered)
        });
        taken += usize::from(looks.into_iter().any(|it| matches!(it, Verdict::Bad(_))));
    }
    taken
}

#[test]
fn a_release_that_is_as_good_as_the_old_one_stays_however_little_comes() {
    for a_look in [[47, 3], [475, 25], [25, 25], [2, 1]] {
        for (fails, slow) in [(0.001, 0.04), (0.005, 0.0), (0.02, 0.0)] {
            let taken = taken_back(a_look, fails, slow);
            assert!(taken <= 4, "{a_look:?} {fails} {slow}: {taken} of 100");
        }
    }
}

#[test]
fn what_the_old_release_did_before_counts_though_it_was_never_much() {
    let known = |requests, errors| Figures {
        requests,
        errors,
        ..Figures::default()
    };
    // Two in a hundred at both, and never enough in a step to be timed.
    let before = known(40, 1).and(&known(45, 1)).and(&known(30, 0));
    assert_eq!((before.requests, before.errors), (115, 2));
    let mut judge = judge().beside(Some(before));
    for look in 1..=120u64 {
        let verdict = judge.see(
            [counts(0, 0, 0, 0), counts(look, look / 40, 10, 1)],
            &Probe::Answered,
        );
        assert!(!matches!(verdict, Verdict::Bad(_)), "{look}: {verdict:?}");
    }
}

#[test]
fn a_few_errors_in_ten_seconds_of_little_traffic_are_chance() {
    let mut judge = judge();
    // 10 requests a second, 0.5 % of them fail here and there, three of them close together.
    for look in 1..=1200u64 {
        let errors = look / 40 + 3 * u64::from(look > 600);
        let verdict = judge.see(
            [
                counts(5 * look, look / 40, 10, 5),
                counts(5 * look, errors, 10, 5),
            ],
            &Probe::Answered,
        );
        assert!(!matches!(verdict, Verdict::Bad(_)), "{look}: {verdict:?}");
    }
}

/// At 500 requests a second with all of the traffic: when it was decided, in looks after it began to fail.
fn decided(good: u64, failing: u64, objective: Option<Objective>, before: f64) -> Option<u64> {
    let before = Figures {
        requests: 10_000,
        errors: (10_000.0 * before) as u64,
        timed: 10_000,
        p95: 10,
        ..Figures::default()
    };
    let mut judge = judge().beside(Some(before)).against(objective);
    let old = || counts(0, 0, 0, 0);
    for look in 1..=good {
        let verdict = judge.see([old(), counts(250 * look, 0, 10, 250)], &Probe::Answered);
        assert_eq!(verdict, Verdict::Good);
    }
    (1..=120).find(|look| {
        let new = counts(250 * (good + look), failing * look, 10, 250);
        matches!(judge.see([old(), new], &Probe::Answered), Verdict::Bad(_))
    })
}

#[test]
fn a_release_that_begins_to_fail_late_is_found_as_soon_as_one_that_always_did() {
    let minutes = |minutes: u64| minutes * 120;
    // 2 % of 250 a look. Of the whole step it would be 0.4 % after four good minutes and one bad one.
    for good in [0, minutes(1), minutes(4), minutes(60)] {
        let looks = decided(good, 5, None, 0.0).expect("never decided");
        assert!(looks <= 10, "{looks} looks after {good} good ones");
        let looks = decided(good, 5, Some(Objective::default()), 0.5).expect("never decided");
        assert!(looks <= 20, "{looks} looks by the objective");
    }
    // 0.4 % is within the tolerance, and what failed as often before is no worse.
    assert_eq!(decided(minutes(4), 1, None, 0.0), None);
    assert_eq!(decided(minutes(4), 5, None, 0.02), None);
}

#[test]
fn looks_at_which_nobody_can_tell_are_lost_contact_only_in_a_row() {
    let mut judge = judge();
    for _ in 0..5 {
        for _ in 1..Tolerance::default().lost {
            assert_eq!(
                judge.miss("no answer", &Probe::Answered),
                Verdict::Inconclusive
            );
        }
        judge.see(nothing(), &Probe::Answered);
    }
    judge.miss("no answer", &Probe::Answered);
    judge.miss("no answer", &Probe::Answered);
    match judge.miss("no answer", &Probe::Answered) {
        Verdict::Bad(said) => assert!(said.contains("3 times in a row: no answer"), "{said}"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn lost_contact_is_bad_and_one_hiccup_is_not() {
    let mut judge = judge();
    let failed = Probe::Failed("it refused the connection".to_owned());
    for probe in [&failed, &failed, &Probe::Answered, &failed, &failed] {
        assert_eq!(judge.see(nothing(), probe), Verdict::Inconclusive);
    }
    assert!(matches!(judge.see(nothing(), &failed), Verdict::Bad(_)));
    let gone = Probe::Gone("its process ended".to_owned());
    assert!(matches!(judge.see(nothing(), &gone), Verdict::Bad(_)));
}

proptest! {
    #[test]
    fn equal_releases_are_never_told_apart(requests in 0u64..100_000, share in 0u64..50, latency in 0u32..5000) {
        let errors = requests * share / 100;
        let both = || counts(requests, errors, latency, usize::try_from(requests.min(500)).unwrap());
        prop_assert!(!matches!(judged(both(), both()), Verdict::Bad(_)));
    }

    #[test]
    fn a_percentile_is_one_of_the_values(values in proptest::collection::vec(any::<u32>(), 1..200)) {
        let found = percentile(values.clone(), 0.95);
        let not_above = values.iter().filter(|value| **value <= found).count();
        prop_assert!(values.contains(&found));
        prop_assert!(not_above as f64 >= 0.95 * values.len() as f64);
    }
}
