use super::*;
use std::sync::atomic::AtomicU64;

/// Clock bits of one second at the slow clock, as Linux counts it for both stages.
const SECOND: u32 = 1 << 9;

/// A watchdog whose clock goes as the test says.
struct Bench {
    watchdog: Watchdog,
    milliseconds: Arc<AtomicU64>,
    events: Arc<Events>,
}

fn bench() -> Bench {
    let events = Arc::new(Events::new().unwrap());
    let milliseconds = Arc::new(AtomicU64::new(0));
    let shown = milliseconds.clone();
    let clock = Box::new(move || Duration::from_millis(shown.load(Ordering::Relaxed)));
    Bench {
        watchdog: Watchdog::with_clock(Some(0xc000_0000), Arc::default(), events.clone(), clock),
        milliseconds,
        events,
    }
}

impl Bench {
    fn pass(&self, milliseconds: u64) {
        self.milliseconds.fetch_add(milliseconds, Ordering::Relaxed);
    }

    fn unlock(&self) {
        self.write(RELOAD, &[0x80, 0]);
        self.write(RELOAD, &[0x86, 0]);
    }

    fn write(&self, offset: u64, data: &[u8]) {
        self.watchdog.window_write(0, offset, data);
    }

    fn read(&self, offset: u64) -> u32 {
        let mut data = [0; 4];
        self.watchdog.window_read(0, offset, &mut data);
        u32::from_le_bytes(data)
    }

    fn config(&self, offset: usize) -> u8 {
        let mut data = [0];
        self.watchdog.config_read(offset, &mut data);
        data[0]
    }

    /// What Linux's driver does: both stages half as long as the guest has, no interrupt.
    fn start(&self, seconds: u32, lock: u8) {
        self.watchdog.config_write(CONFIG, &[INTERRUPT_OFF, 0]);
        for offset in [PRELOAD_FIRST, PRELOAD_SECOND] {
            self.unlock();
            self.write(offset, &(seconds * SECOND).to_le_bytes());
        }
        self.ping();
        self.watchdog.config_write(LOCK, &[ENABLED | lock]);
    }

    fn ping(&self) {
        self.unlock();
        self.write(RELOAD, &WIND_UP.to_le_bytes());
    }

    /// Lets time pass as the main thread would: it looks whenever it is time. Whether the watchdog ran down.
    fn runs_down_within(&self, milliseconds: u64) -> bool {
        let mut left = milliseconds;
        while let Some(until) = self.watchdog.deadline() {
            let until = u64::try_from(until.as_nanos().div_ceil(1_000_000)).unwrap();
            if until > left {
                break;
            }
            self.pass(until);
            left -= until;
            if self.watchdog.look() {
                return true;
            }
        }
        self.pass(left);
        self.watchdog.look()
    }
}

#[test]
fn a_guest_that_winds_it_up_goes_on_and_one_that_does_not_is_told_once() {
    let bench = bench();
    assert!(!bench.runs_down_within(3_600_000), "it is off at first");
    bench.start(10, 0);
    assert!(
        bench.events.wake().clear(),
        "the main thread looks for how long"
    );
    for _ in 0..20 {
        assert!(!bench.runs_down_within(9_000));
        bench.ping();
    }
    assert!(
        !bench.events.wake().clear(),
        "later ends wake nobody: it looks anyway"
    );
    assert!(!bench.runs_down_within(9_900));
    assert!(bench.runs_down_within(1_000));
    assert!(!bench.runs_down_within(3_600_000));
    bench.start(10, 0);
    assert!(bench.runs_down_within(11_000), "it can be used again");
}

#[test]
fn that_it_ran_down_is_remembered_until_the_guest_says_so() {
    let bench = bench();
    bench.start(1, 0);
    assert!(bench.runs_down_within(2_000));
    let next = Watchdog::new(None, bench.watchdog.timed_out.clone(), bench.events.clone());
    let read = |watchdog: &Watchdog| {
        let mut data = [0; 2];
        watchdog.window_read(0, RELOAD, &mut data);
        u16::from_le_bytes(data) & TIMED_OUT != 0
    };
    assert!(read(&next));
    next.window_write(0, RELOAD, &TIMED_OUT.to_le_bytes());
    assert!(read(&next), "the register is guarded");
    for value in [[0x80, 0], [0x86, 0], (TIMED_OUT | WIND_UP).to_le_bytes()] {
        next.window_write(0, RELOAD, &value);
    }
    assert!(!read(&next));
}

#[test]
fn guarded_registers_open_for_one_write_after_both_words() {
    let bench = bench();
    let set = |value: u32| bench.write(PRELOAD_FIRST, &value.to_le_bytes());
    set(5);
    assert_eq!(bench.read(PRELOAD_FIRST), PRELOAD);
    bench.write(RELOAD, &[0x86, 0]);
    set(5);
    bench.write(RELOAD, &[0x80, 0]);
    bench.write(RELOAD, &[0x80, 0]);
    set(5);
    assert_eq!(bench.read(PRELOAD_FIRST), PRELOAD);
    bench.unlock();
    set(u32::MAX - 2);
    assert_eq!(bench.read(PRELOAD_FIRST), PRELOAD - 2);
    set(5);
    assert_eq!(bench.read(PRELOAD_FIRST), PRELOAD - 2);
}

#[test]
fn a_locked_watchdog_stays_on() {
    let bench = bench();
    bench.start(10, 0);
    bench.watchdog.config_write(LOCK, &[0]);
    assert_eq!(bench.watchdog.deadline(), None);
    bench.start(10, LOCKED);
    bench.watchdog.config_write(LOCK, &[0]);
    assert_eq!(bench.config(LOCK), ENABLED | LOCKED);
    assert!(bench.runs_down_within(11_000));
}

#[test]
fn time_in_which_the_machine_stands_does_not_count() {
    let bench = bench();
    bench.start(10, 0);
    assert!(!bench.runs_down_within(8_000));
    bench.watchdog.pause();
    assert!(!bench.runs_down_within(3_600_000));
    assert_eq!(bench.watchdog.deadline(), None);
    bench.watchdog.resume();
    bench.watchdog.resume();
    assert!(!bench.runs_down_within(1_500));
    assert!(bench.runs_down_within(1_000));
}

#[test]
fn a_saved_watchdog_goes_on_with_what_was_left() {
    let bench = bench();
    bench.start(10, LOCKED);
    assert!(!bench.runs_down_within(8_000));
    bench.watchdog.pause();
    let saved = bench.watchdog.save();
    let other = self::bench();
    other.pass(50_000);
    assert!(other.watchdog.restore(&saved));
    assert!(!other.runs_down_within(3_600_000), "it stands");
    other.watchdog.resume();
    other.watchdog.config_write(LOCK, &[0]);
    assert!(!other.runs_down_within(1_500));
    assert!(other.runs_down_within(1_000));
    let strange = WatchdogState {
        registers: vec![0; 3],
        ..saved.clone()
    };
    assert!(!other.watchdog.restore(&strange));
    // What only a forged state has does no harm.
    let endless = WatchdogState {
        running: Some((Stage::Second, u64::MAX)),
        preloads: [u32::MAX; 2],
        ..saved
    };
    assert!(other.watchdog.restore(&endless));
    other.watchdog.resume();
    assert!(other.runs_down_within(3_600_000));
}

#[test]
fn without_its_output_it_tells_nobody() {
    let bench = bench();
    bench.start(1, 0);
    bench.watchdog.config_write(CONFIG, &[OUTPUT_OFF]);
    assert!(!bench.runs_down_within(10_000));
    assert_eq!(bench.watchdog.deadline(), None);
    assert_eq!(bench.read(INTERRUPTED), 1, "the first stage is seen");
    bench.write(INTERRUPTED, &[1]);
    assert_eq!(bench.read(INTERRUPTED), 0);
    bench.watchdog.config_write(LOCK, &[0]);
    bench.watchdog.config_write(LOCK, &[ENABLED | FREE_RUNNING]);
    assert!(!bench.runs_down_within(10_000));
    assert!(bench.watchdog.deadline().is_some(), "it begins again");
}

#[test]
fn the_fast_clock_is_held_to_what_a_machine_can_keep() {
    let bench = bench();
    bench.start(2000, 0);
    bench
        .watchdog
        .config_write(CONFIG, &[FAST_CLOCK | INTERRUPT_OFF]);
    bench.ping();
    assert!(!bench.runs_down_within(1_900));
    assert!(bench.runs_down_within(200));
    bench.start(0, 0);
    assert!(!bench.runs_down_within(190));
    assert!(bench.runs_down_within(20));
}

#[test]
fn it_is_found_where_drivers_look() {
    let bench = bench();
    let mut id = [0; 4];
    bench.watchdog.config_read(0, &mut id);
    assert_eq!(u32::from_le_bytes(id), 0x25ab_8086);
    let windows = bench.watchdog.windows();
    assert_eq!((windows[0].start, windows[0].len), (0xc000_0000, 16));
    // Odd accesses find something or nothing.
    for offset in 0..20 {
        bench.write(offset, &[0x86; 8]);
        let mut data = [0; 8];
        bench.watchdog.window_read(0, offset, &mut data);
    }
    bench.watchdog.window_read(0, u64::MAX, &mut id);
    assert_eq!(id, [0xff; 4]);
}
