import java.util.Arrays;
import java.util.Map;

/**
 * The workload lru on a Java virtual machine: the same lookups in the same caches as in {@code harness/src/workload/lru.rs}, drawn from the same
 * generators, split over threads in the same way.
 *
 * <pre>
 * javac -d /tmp/peers harness/peers/java/*.java
 * java -XX:+UseSerialGC -Xms31m -Xmx31m -cp /tmp/peers Lru entries=50000 threads=1
 * harness run lru --heap-size 31M --peer hotspot-serial
 * </pre>
 *
 * <p>An entry takes 40 bytes here (a 12-byte header, four compressed references, a word, padding), and 48 in gc-marksweep; a value 16 bytes more than
 * its words, as there. A cache is the object that holds the ends of its list; what a thread knows of it is in further fields, which are not
 * counted. A local costs nothing, so that {@code rooted} is read and changes nothing.
 */
public final class Lru {
    /** Caches, over all threads. */
    private static final int SHARDS = 8;
    /** Keys for each entry of the cache. */
    private static final long KEYS = 4;
    /** Operations for each entry. */
    private static final long TURNS = 20;
    /** Words of the smallest value. */
    private static final int SMALLEST_WORDS = 4;
    /** The largest value is this many times doubled. */
    private static final int DOUBLINGS = 7;

    private static final class Entry {
        Entry nextInChain;
        Entry newer;
        Entry older;
        final long[] value;
        final long key;

        Entry(Entry nextInChain, long[] value, long key) {
            this.nextInChain = nextInChain;
            this.value = value;
            this.key = key;
        }
    }

    private static final class Cache {
        final Entry[] table;
        Entry newest;
        Entry oldest;

        private final int capacity;
        private final long turns;
        private final Zipf keys;
        private final Peer.Generator random;
        private int length;
        private long misses;
        private long wordsOfValues;
        private long digest;

        Cache(int capacity, Peer.Generator random) {
            this.capacity = capacity;
            this.random = random;
            turns = TURNS * capacity;
            keys = new Zipf(KEYS * capacity);
            // The power of two at or above it.
            table = new Entry[Integer.highestOneBit(2 * capacity - 1)];
        }

        void lookUp(long turn) {
            long key = keys.draw(random);
            Entry entry = table[bucket(key)];
            while (entry != null && entry.key != key) {
                entry = entry.nextInChain;
            }
            if (entry != null) {
                hit(entry);
                return;
            }
            if (length == capacity) {
                evict();
                length--;
            }
            insert(key, turn);
            length++;
        }

        private int bucket(long key) {
            return (int) Peer.mix(key) & (table.length - 1);
        }

        /** Moves the entry to the front, and reads its value. */
        private void hit(Entry entry) {
            if (entry != newest) {
                unlink(entry);
                push(entry);
            }
            long[] value = entry.value;
            digest += Peer.mix(value[0] ^ Peer.mix(value[value.length - 1]));
        }

        private void insert(long key, long turn) {
            int doublings = Math.min(Long.numberOfTrailingZeros(Peer.mix(~key)), DOUBLINGS);
            long[] value = new long[SMALLEST_WORDS << doublings];
            value[0] = key;
            value[value.length - 1] = turn;
            int bucket = bucket(key);
            Entry entry = new Entry(table[bucket], value, key);
            table[bucket] = entry;
            push(entry);
            misses++;
            wordsOfValues += value.length;
        }

        /** Takes the entry out that was used least recently. */
        private void evict() {
            Entry evicted = oldest;
            unlink(evicted);
            int bucket = bucket(evicted.key);
            Entry entry = table[bucket];
            if (entry == evicted) {
                table[bucket] = evicted.nextInChain;
                return;
            }
            while (entry.nextInChain != evicted) {
                entry = entry.nextInChain;
            }
            entry.nextInChain = evicted.nextInChain;
        }

        private void unlink(Entry entry) {
            if (entry.newer == null) {
                newest = entry.older;
            } else {
                entry.newer.older = entry.older;
            }
            if (entry.older == null) {
                oldest = entry.newer;
            } else {
                entry.older.newer = entry.newer;
            }
            entry.newer = null;
            entry.older = null;
        }

        /** Puts an entry that is in no list in front. */
        private void push(Entry entry) {
            Entry second = newest;
            entry.older = second;
            if (second == null) {
                oldest = entry;
            } else {
                second.newer = entry;
            }
            newest = entry;
        }
    }

    /**
     * The distribution of {@code harness/src/workload/zipf.rs}, in the order of operations that is given there: {@link Math#pow} may round
     * otherwise than another language's.
     */
    private static final class Zipf {
        private final double n;
        private final double sum;
        private final double firstTwo;
        private final double eta;

        Zipf(long n) {
            this.n = n;
            sum = weights(n);
            firstTwo = weights(2);
            eta = (1 - root(2, 2) / root(2, n)) / (1 - firstTwo / sum);
        }

        long draw(Peer.Generator random) {
            double uniform = (random.next() >>> 11) * 0x1p-53;
            double weight = uniform * sum;
            if (weight < 1) {
                return 0;
            }
            if (weight < firstTwo) {
                return 1;
            }
            return (long) Math.min(n * power(eta * uniform - eta + 1), n - 1);
        }

        /** The sum of i^-0.99 for i from 1 to {@code n}. */
        private static double weights(double n) {
            double exact = Math.min(n, 1000);
            double head = 1;
            double last = 1;
            for (double i = 2; i <= exact; i++) {
                last = root(last * (1 + 1 / (100 * (i - 1))), i);
                head += last / i;
            }
            double rootOfN = root(2, n);
            double integral = 100 * (rootOfN - last);
            return head + integral + (rootOfN / n - last / exact) / 2;
        }

        /** The hundredth root of {@code x}, approached from {@code above} by Newton's method. */
        private static double root(double above, double x) {
            double root = above;
            while (true) {
                double next = root - root * (1 - x / power(root)) / 100;
                if (next >= root) {
                    return root;
                }
                root = next;
            }
        }

        /** {@code base}^100. */
        private static double power(double base) {
            double to2 = base * base;
            double to4 = to2 * to2;
            double to8 = to4 * to4;
            double to16 = to8 * to8;
            double to32 = to16 * to16;
            double to64 = to32 * to32;
            return to4 * to32 * to64;
        }
    }

    private static Peer.Outcome run(Peer.Input input) {
        long entries = input.get("entries");
        long checksum = 0;
        long objects = 0;
        long fields = 0;
        for (Cache[] caches : Peer.onThreads(input.threads(), thread -> serve(input, thread))) {
            objects++;
            for (Cache cache : caches) {
                checksum += Peer.mix(cache.digest);
                objects += 2 + 2 * cache.misses;
                // A reference to the table and to the list's ends, the table, the ends, and what the misses made.
                fields += 2 + cache.table.length + 2 + 5 * cache.misses + cache.wordsOfValues;
            }
        }
        return new Peer.Outcome(checksum, TURNS * entries, objects, 8 * fields);
    }

    /** One thread's caches, after all their lookups. */
    private static Cache[] serve(Peer.Input input, int thread) {
        long[] shards = {SHARDS * thread / input.threads(), SHARDS * (thread + 1) / input.threads()};
        long entries = input.get("entries");
        Cache[] caches = new Cache[(int) (shards[1] - shards[0])];
        long turns = 0;
        int count = 0;
        for (long shard = shards[0]; shard < shards[1]; shard++) {
            int capacity = (int) (entries * (shard + 1) / SHARDS - entries * shard / SHARDS);
            if (capacity > 0) {
                caches[count] = new Cache(capacity, new Peer.Generator(input.get("seed"), shard));
                turns = Math.max(turns, caches[count].turns);
                count++;
            }
        }
        caches = Arrays.copyOf(caches, count);
        for (long turn = 0; turn < turns; turn++) {
            for (Cache cache : caches) {
                if (turn < cache.turns) {
                    cache.lookUp(turn);
                }
            }
        }
        return caches;
    }

    public static void main(String[] arguments) {
        Peer.execute("Lru", Map.of("entries", 50_000L, "rooted", 1L), Lru::run, arguments);
    }
}
