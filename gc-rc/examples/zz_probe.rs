//! Scratch probe (not committed).
use gc_rc::*;
struct Instant(u64);
impl Instant {
    fn now() -> Self {
        let mut t = libc::timespec {
            tv_sec: 0,
            tv_nsec: 0,
        };
        unsafe {
            libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &mut t);
        }
        Instant(t.tv_sec as u64 * 1_000_000_000 + t.tv_nsec as u64)
    }
    fn elapsed(&self) -> std::time::Duration {
        std::time::Duration::from_nanos(Instant::now().0 - self.0)
    }
}
fn tree<'h>(m: &mut Mutator<'h>, into: Local<'_, 'h>, depth: u32) {
    m.frame(|m, [l, r]| {
        if depth > 0 {
            tree(m, l, depth - 1);
            tree(m, r, depth - 1);
        }
        m.alloc_move(into, Flags::NONE, [l, r], []).unwrap();
    });
    m.safepoint();
}
fn main() {
    let mode = std::env::args().nth(1).unwrap_or("full".into());
    if mode == "full" {
        for kind in std::env::args().nth(2).map_or(0..4, |x| {
            let k: usize = x.parse().unwrap();
            k..k + 1
        }) {
            let heap = Heap::builder().build().unwrap();
            let n = 1_000_000u32;
            heap.attach(|m| {
                m.frame(|m, [table, node]| {
                    let name;
                    match kind {
                        0 | 1 => {
                            name = ["table+neighbours", "table+shuffled"][kind];
                            m.alloc(table, Shape::new(n, 0)).unwrap();
                            let mut random = 1u64;
                            for index in 0..n as usize {
                                m.alloc(node, Shape::new(2, 1)).unwrap();
                                let (all, this) = (m.get(table).unwrap(), m.get(node).unwrap());
                                m.store(all, index, Some(this));
                                if index > 0 {
                                    m.store(this, 0, m.load(all, index - 1));
                                    random =
                                        random.wrapping_mul(6364136223846793005).wrapping_add(1);
                                    let other = if kind == 1 {
                                        (random >> 33) as usize % index
                                    } else {
                                        index / 2
                                    };
                                    m.store(this, 1, m.load(all, other));
                                }
                            }
                            m.set(node, None);
                        }
                        2 => {
                            name = "tree";
                            tree(m, table, 19);
                        }
                        _ => {
                            name = "list";
                            for i in 0..n {
                                m.alloc_move(table, Flags::NONE, [table], [i as u64])
                                    .unwrap();
                                m.safepoint();
                            }
                        }
                    }
                    let mut times = vec![];
                    heap.take_events();
                    for _ in 0..40 {
                        let t = Instant::now();
                        m.collect();
                        times.push(t.elapsed().as_nanos() as f64);
                    }
                    let log = heap.take_events();
                    let ex: Vec<_> = log
                        .events
                        .iter()
                        .filter_map(|e| match e.kind {
                            EventKind::Collection { examined, .. } => {
                                Some((examined, e.until - e.from))
                            }
                            _ => None,
                        })
                        .collect();
                    times.sort_by(f64::total_cmp);
                    println!(
                        "{name:20} best {:.2} median {:.2} ns an object ({} examined)",
                        times[0] / ex[0].0 as f64,
                        times[20] / ex[0].0 as f64,
                        ex[0].0
                    );
                })
            });
        }
    } else {
        let young = mode == "young";
        let heap = Heap::builder()
            .event_capacity(1 << 20)
            .cycle(if mode == "none" {
                Cycle::None
            } else {
                Cycle::Generational
            })
            .thresholds(if young {
                [2000, 1000000000, 10]
            } else {
                [2000, 10, 10]
            })
            .build()
            .unwrap();
        for _ in 0..std::env::args().nth(2).map_or(3, |x| x.parse().unwrap()) {
            heap.attach(|m| m.frame(|m, [long, t]| {
            heap.take_events();
            let begun = Instant::now();
            let depth = std::env::var("D").map_or(18, |x| x.parse().unwrap());
            tree(m, t, depth+1); m.set(t, None);
            tree(m, long, depth);
            let mut nodes = (1u64<<(depth+2))-1 + (1u64<<(depth+1))-1;
            for d in (4..=depth).step_by(2) { for _ in 0..1u32<<(depth-d+4) { tree(m, t, d); m.set(t, None); nodes += (1<<(d+1))-1; } }
            let total = begun.elapsed().as_nanos() as f64;
            let mut g = [(0u64,0u64,0u64);3];
            let log = heap.take_events();
            for e in &log.events { if let EventKind::Collection{generation, examined, ..} = e.kind { let x = &mut g[generation as usize]; x.0+=1; x.1+=examined; x.2+=e.until-e.from; } }
            println!("{nodes} nodes {:.2} ns a node, lost {}", total/nodes as f64, log.lost);
            for (i, x) in g.iter().enumerate() { println!("  gen {i}: {} collections, {:.2} examined/node, {:.2} ns each, {:.2} ns a node", x.0, x.1 as f64/nodes as f64, x.2 as f64/x.1.max(1) as f64, x.2 as f64/nodes as f64); }
        }));
        }
    }
}
