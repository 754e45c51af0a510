//! Shards on real threads: they are where they should be, sleep when idle, and wake for each reason.

use core::time::Duration;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, mpsc};
use std::time::Instant;

use super::{ShardSeat, SnapshotWrite, spawn_shards};
use crate::faults::{Faults, FileFaults, SyncFault};
use crate::files::{Appended, LogError};
use crate::shard_io::{Event, IoOptions, ShardIo};

/// Three pieces and a bit.
const SEGMENT_BYTES: u64 = (3 << 19) + 3 * 4096;

fn options(directory: &tempfile::TempDir, files: Option<FileFaults>) -> IoOptions {
    IoOptions {
        log_dir: directory.path().join("shard-0"),
        snapshot_dir: directory.path().join("snapshots"),
        segment_bytes: SEGMENT_BYTES,
        spin: Duration::ZERO,
        faults: Some(Faults { seed: 1, sockets: None, files }),
    }
}

/// Runs `main` as the only shard.
fn on_shard<T, F>(main: impl Fn(ShardSeat) -> F + Clone + Send + 'static) -> T
where
    T: Send + 'static,
    F: Future<Output = T> + 'static,
{
    spawn_shards(&[0], main).unwrap().join().unwrap().pop().unwrap()
}

/// What came of something slow.
enum Done {
    Ready(u64),
    Retired(u64),
    Removed,
    Snapshot(bool),
    Failed(String),
}

async fn next(io: &mut ShardIo) -> Done {
    loop {
        io.turn().unwrap();
        match io.poll() {
            Some(Event::SegmentReady { segment }) => return Done::Ready(segment),
            Some(Event::SegmentRetired(aged)) => return Done::Retired(aged.seq),
            Some(Event::SegmentRemoved) => return Done::Removed,
            Some(Event::SnapshotWritten { is_last }) => return Done::Snapshot(is_last),
            Some(Event::SegmentFailed(error) | Event::SegmentKept(error) | Event::SnapshotFailed(error)) => {
                return Done::Failed(error.to_string());
            }
            Some(other) => panic!("{other:?}"),
            None => io.park(None, || false).await.unwrap(),
        }
    }
}

async fn appended(io: &mut ShardIo) -> Result<Appended, LogError> {
    loop {
        io.turn().unwrap();
        match io.poll() {
            Some(Event::Appended(appended)) => return Ok(appended),
            Some(Event::LogFailed(error)) => return Err(error),
            Some(other) => panic!("{other:?}"),
            None => {}
        }
        io.park(None, || false).await.unwrap();
    }
}

#[test]
fn shards_run_pinned_and_named_and_give_their_results_in_order() {
    let shards = spawn_shards(&[1, 0], |seat: ShardSeat| async move {
        let status = std::fs::read_to_string("/proc/thread-self/status").unwrap();
        let field = |name: &str| {
            let line = status.lines().find(|line| line.starts_with(name)).unwrap();
            line.split_whitespace().nth(1).unwrap().to_owned()
        };
        (seat.shard, field("Name:"), field("Cpus_allowed_list:"))
    });
    let expected = [(0, "shard-0".to_owned(), "1".to_owned()), (1, "shard-1".to_owned(), "0".to_owned())];
    assert_eq!(shards.unwrap().join().unwrap(), expected);
}

#[test]
fn a_parked_shard_wakes_for_every_item_of_another_thread() {
    let directory = tempfile::tempdir().unwrap();
    let options = options(&directory, None);
    let queue = Arc::new(AtomicU64::new(0));
    let seen = Arc::clone(&queue);
    let shards = spawn_shards(&[0], move |seat: ShardSeat| {
        let (options, seen) = (options.clone(), Arc::clone(&seen));
        async move {
            let mut io = ShardIo::open(&seat, options).await.unwrap();
            let mut taken = 0;
            while taken < 1000 {
                io.park(None, || seen.load(Ordering::Relaxed) > 0).await.unwrap();
                assert!(io.poll().is_none(), "being woken is no event");
                taken += seen.swap(0, Ordering::Relaxed);
            }
            taken
        }
    });
    let shards = shards.unwrap();
    let waker = shards.wakers()[0].clone();
    for item in 0..1000 {
        queue.fetch_add(1, Ordering::Relaxed);
        waker.wake();
        if item % 10 == 0 {
            // Lets it fall asleep now and then.
            std::thread::park_timeout(Duration::from_micros(300));
        }
    }
    assert_eq!(shards.join().unwrap(), [1000]);
}

#[test]
fn a_parked_shard_wakes_when_its_time_has_come() {
    let directory = tempfile::tempdir().unwrap();
    let options = options(&directory, None);
    on_shard(move |seat| {
        let options = options.clone();
        async move {
            let mut io = ShardIo::open(&seat, options).await.unwrap();
            for _ in 0..20 {
                let since = Instant::now();
                while since.elapsed() < Duration::from_millis(5) {
                    let rest = Duration::from_millis(5).saturating_sub(since.elapsed());
                    io.park(Some(rest), || false).await.unwrap();
                }
            }
        }
    });
}

#[test]
fn a_segment_is_prepared_appended_to_and_read_back() {
    let directory = tempfile::tempdir().unwrap();
    let options = options(&directory, None);
    on_shard(move |seat| {
        let options = options.clone();
        async move {
            let mut io = ShardIo::open(&seat, options.clone()).await.unwrap();
            assert_eq!(io.log_segments().unwrap(), []);
            io.prepare_segment(7, b"header").await.unwrap();
            for (at, byte) in [(4096, 1), (8192, 2), (12288, 3)] {
                io.append(7, at, &[byte; 4096]);
                assert!(io.appending());
                let done = appended(&mut io).await.unwrap();
                assert_eq!((done.segment, done.offset, done.bytes), (7, at, 4096));
            }
            drop(io);
            // As after a restart.
            let io = ShardIo::open(&seat, options).await.unwrap();
            let segments = io.log_segments().unwrap();
            assert_eq!(
                segments.iter().map(|file| (file.seq, file.bytes)).collect::<Vec<_>>(),
                [(7, SEGMENT_BYTES)]
            );
            let bytes = io.read_segment(7).await.unwrap();
            assert_eq!(&bytes[..7], b"header\0");
            assert_eq!([bytes[4095], bytes[4096], bytes[8192], bytes[12288], bytes[16384]], [0, 1, 2, 3, 0]);
            assert!(bytes[16384..].iter().all(|byte| *byte == 0));
        }
    });
}

#[test]
fn a_segment_is_prepared_while_the_shard_is_parked_and_while_it_is_busy() {
    let directory = tempfile::tempdir().unwrap();
    let options = options(&directory, None);
    on_shard(move |seat| {
        let options = options.clone();
        async move {
            let mut io = ShardIo::open(&seat, options).await.unwrap();
            for segment in 0..4 {
                io.prepare_in_background(segment, b"header", None);
                while io.works_on_segments() {
                    io.turn().unwrap();
                    while let Some(event) = io.poll() {
                        assert!(matches!(event, Event::SegmentReady { segment: ready } if ready == segment));
                    }
                    match segment % 2 {
                        _ if !io.works_on_segments() => {}
                        0 => io.park(None, || false).await.unwrap(),
                        _ => io.yield_now().await.unwrap(),
                    }
                }
            }
            assert_eq!(io.log_segments().unwrap().len(), 4);
            let segments =
                |io: &ShardIo| io.log_segments().unwrap().iter().map(|file| file.seq).collect::<Vec<_>>();
            for segment in 0..2 {
                io.retire_in_background(segment);
                assert!(matches!(next(&mut io).await, Done::Retired(aged) if aged == segment));
            }
            assert_eq!(segments(&io), [2, 3], "a start reads no aged segment");
            let aged =
                |io: &ShardIo| io.aged_segments().unwrap().iter().map(|file| file.seq).collect::<Vec<_>>();
            assert_eq!(aged(&io), [0, 1]);
            io.remove_in_background(0);
            assert!(matches!(next(&mut io).await, Done::Removed));
            io.prepare_in_background(4, b"another header", Some(1));
            assert!(matches!(next(&mut io).await, Done::Ready(4)));
            assert_eq!((segments(&io), aged(&io)), (vec![2, 3, 4], vec![]));
            assert!(io.read_segment(4).await.unwrap().starts_with(b"another header"));
            io.remove_in_background(0);
            assert!(matches!(next(&mut io).await, Done::Failed(error) if error.contains("removing")));
            io.retire_in_background(0);
            assert!(matches!(next(&mut io).await, Done::Failed(error) if error.contains("renaming")));
        }
    });
}

#[test]
fn a_snapshot_has_its_name_when_it_is_whole() {
    let directory = tempfile::tempdir().unwrap();
    let options = options(&directory, None);
    let dir = options.snapshot_dir.clone();
    on_shard(move |seat| {
        let (options, dir) = (options.clone(), dir.clone());
        async move {
            let mut io = ShardIo::open(&seat, options).await.unwrap();
            let piece = |byte, is_first, is_last| SnapshotWrite {
                partition: 3,
                bytes: vec![byte; 8192],
                is_first,
                is_last,
            };
            for (byte, is_first) in [(1, true), (2, true), (3, false)] {
                io.write_snapshot(piece(byte, is_first, false));
                assert!(matches!(next(&mut io).await, Done::Snapshot(false)));
                assert!(dir.join("p00003.snap.new").exists() && !dir.join("p00003.snap").exists());
            }
            io.write_snapshot(piece(4, false, true));
            assert!(matches!(next(&mut io).await, Done::Snapshot(true)));
            let whole = [[2; 8192], [3; 8192], [4; 8192]].concat();
            assert_eq!(io.read_snapshot(3).unwrap(), Some(whole.clone()));
            // One that does not end changes nothing, and is removed by whoever reads.
            io.write_snapshot(piece(5, true, false));
            assert!(matches!(next(&mut io).await, Done::Snapshot(false)));
            assert_eq!(io.read_snapshot(3).unwrap(), Some(whole));
            assert!(!dir.join("p00003.snap.new").exists());
            assert_eq!(io.read_snapshot(4).unwrap(), None);
        }
    });
}

#[test]
fn a_shard_that_prepares_a_segment_hears_other_threads_and_its_own_ring() {
    let directory = tempfile::tempdir().unwrap();
    let options = options(&directory, None);
    let queue = Arc::new(AtomicU64::new(0));
    let seen = Arc::clone(&queue);
    let shards = spawn_shards(&[0], move |seat: ShardSeat| {
        let (options, seen) = (options.clone(), Arc::clone(&seen));
        async move {
            let mut io = ShardIo::open(&seat, options).await.unwrap();
            io.prepare_segment(0, b"header").await.unwrap();
            let (mut taken, mut appends, mut segments) = (0, 0, 1);
            io.prepare_in_background(segments, b"header", None);
            while taken < 200 || appends < 20 || segments < 4 {
                io.turn().unwrap();
                while let Some(event) = io.poll() {
                    match event {
                        Event::Appended(_) => appends += 1,
                        Event::SegmentReady { segment } => segments = segment + 1,
                        other => panic!("{other:?}"),
                    }
                }
                taken += seen.swap(0, Ordering::Relaxed);
                if !io.appending() {
                    io.append(0, 4096 * (1 + appends % 100), &[1; 4096]);
                }
                if !io.works_on_segments() {
                    io.prepare_in_background(segments, b"header", None);
                }
                io.park(None, || seen.load(Ordering::Relaxed) > 0).await.unwrap();
            }
            taken
        }
    });
    let shards = shards.unwrap();
    let waker = shards.wakers()[0].clone();
    for _ in 0..200 {
        queue.fetch_add(1, Ordering::Relaxed);
        waker.wake();
        std::thread::park_timeout(Duration::from_micros(200));
    }
    assert_eq!(shards.join().unwrap(), [200]);
}

#[test]
fn half_a_segment_of_an_earlier_start_is_removed_and_another_size_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let options = options(&directory, None);
    let log_dir = options.log_dir.clone();
    std::fs::create_dir_all(&log_dir).unwrap();
    std::fs::write(log_dir.join("0000000000000001.seg.new"), [0; 100]).unwrap();
    std::fs::write(log_dir.join("0000000000000002.seg"), [0; 8192]).unwrap();
    let refused = on_shard(move |seat| {
        let options = options.clone();
        async move {
            let io = ShardIo::open(&seat, options).await.unwrap();
            assert_eq!(io.log_segments().unwrap().iter().map(|file| file.seq).collect::<Vec<_>>(), [2]);
            io.read_segment(2).await.unwrap_err().to_string()
        }
    });
    assert!(refused.contains("0000000000000002.seg: this segment has 8192 bytes"), "{refused}");
    assert!(!log_dir.join("0000000000000001.seg.new").exists());
}

/// Appends three blocks with faults; what the file then holds in them, and how the appends ended.
fn three_appends(files: FileFaults) -> (Vec<u8>, Vec<Result<(), String>>) {
    let directory = tempfile::tempdir().unwrap();
    let options = options(&directory, Some(files));
    let path = crate::files::segment_path(&options.log_dir, 0);
    let ends = on_shard(move |seat| {
        let options = options.clone();
        async move {
            let mut io = ShardIo::open(&seat, options).await.unwrap();
            io.prepare_segment(0, b"header").await.unwrap();
            let mut ends = Vec::new();
            for block in 1..4 {
                io.append(0, block * 4096, &[u8::try_from(block).unwrap(); 4096]);
                let end = appended(&mut io).await;
                ends.push(end.map(drop).map_err(|error| error.to_string()));
            }
            ends
        }
    });
    let bytes = std::fs::read(path).unwrap();
    ((1..4).map(|block| bytes[block * 4096]).collect(), ends)
}

#[test]
fn a_sync_that_does_nothing_leaves_nothing_behind() {
    let faults = FileFaults { hold_writes: true, sync: SyncFault::Noop, ..FileFaults::default() };
    let (blocks, ends) = three_appends(faults);
    assert_eq!(blocks, [0, 0, 0], "the bytes never left the process");
    assert_eq!(ends, [Ok(()), Ok(()), Ok(())], "and nobody was told");
}

#[test]
fn writes_that_are_held_are_there_when_they_are_acknowledged() {
    let faults = FileFaults { hold_writes: true, slow_sync_ms: 2, ..FileFaults::default() };
    assert_eq!(three_appends(faults), (vec![1, 2, 3], vec![Ok(()), Ok(()), Ok(())]));
}

#[test]
fn a_write_or_a_sync_that_fails_is_reported_with_file_and_offset() {
    let (blocks, ends) = three_appends(FileFaults { fail_write_after: 2, ..FileFaults::default() });
    assert_eq!(blocks, [1, 0, 3]);
    let said = ends[1].as_ref().unwrap_err();
    assert!(said.contains("0000000000000000.seg, offset 8192: write failed: Input/output error"), "{said}");
    let (blocks, ends) =
        three_appends(FileFaults { fail_sync_after: 2, slow_sync_ms: 1, ..FileFaults::default() });
    assert_eq!(blocks, [1, 2, 3]);
    let said = ends[1].as_ref().unwrap_err();
    assert!(said.contains("offset 8192: fdatasync failed: Input/output error"), "{said}");
}

#[test]
fn an_append_to_a_segment_that_is_not_there_fails_with_its_name() {
    let directory = tempfile::tempdir().unwrap();
    let options = options(&directory, None);
    let said = on_shard(move |seat| {
        let options = options.clone();
        async move {
            let mut io = ShardIo::open(&seat, options).await.unwrap();
            io.append(0x1f, 4096, &[1; 4096]);
            appended(&mut io).await.unwrap_err().to_string()
        }
    });
    assert!(said.contains("000000000000001f.seg") && said.contains("No such file"), "{said}");
}

#[test]
fn where_there_is_no_direct_io_the_log_works_all_the_same() {
    let Ok(directory) = tempfile::tempdir_in("/dev/shm") else { return };
    let options = options(&directory, None);
    on_shard(move |seat| {
        let options = options.clone();
        async move {
            let mut io = ShardIo::open(&seat, options).await.unwrap();
            io.prepare_segment(0, b"header").await.unwrap();
            io.append(0, 4096, &[9; 4096]);
            appended(&mut io).await.unwrap();
            let bytes = io.read_segment(0).await.unwrap();
            assert_eq!((bytes.len() as u64, &bytes[..6], bytes[4096]), (SEGMENT_BYTES, &b"header"[..], 9));
        }
    });
}

#[test]
fn an_idle_shard_costs_nearly_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let options = options(&directory, None);
    let (report, spent) = mpsc::channel();
    let shards = spawn_shards(&[0], move |seat: ShardSeat| {
        let (options, report) = (options.clone(), report.clone());
        async move {
            let mut io = ShardIo::open(&seat, options).await.unwrap();
            let before = cpu_ticks();
            let since = Instant::now();
            while since.elapsed() < Duration::from_millis(1500) {
                let rest = Duration::from_millis(1500).saturating_sub(since.elapsed());
                io.park(Some(rest), || false).await.unwrap();
            }
            report.send(cpu_ticks() - before).unwrap();
        }
    });
    shards.unwrap().join().unwrap();
    assert!(spent.recv().unwrap() <= 3, "ticks of 10 ms in 1.5 s");
}

/// User and system time of this thread, in ticks of 10 ms (proc_pid_stat(5)).
fn cpu_ticks() -> u64 {
    let stat = std::fs::read_to_string("/proc/thread-self/stat").unwrap();
    let (_, fields) = stat.rsplit_once(") ").unwrap();
    fields.split(' ').skip(11).take(2).map(|field| field.parse::<u64>().unwrap()).sum()
}
