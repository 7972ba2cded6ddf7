/*
 * What the programs of this directory share: their arguments, threads, generator, clocks, and the collector's set-up. Included by each,
 * once. The collector is Boehm, Demers and Weiser's (libgc, 7.6 or later); it scans stacks conservatively and does not move objects.
 *
 * How it is made comparable with a heap of a fixed size:
 *
 * - The heap is grown to its size at once (GC_expand_hp) and not beyond (GC_set_max_heap_size). It collects when nothing free is left
 *   (GC_set_dont_expand) and not earlier, as the other heaps of the comparison do: its own rule would collect after a third of the heap. Its
 *   mark bits, block headers and mark stack lie outside the size; theirs lie within.
 * - Pointers into the middle of objects are recognised from stacks and registers only, as language implementations on this
 *   collector set it up. Otherwise each object would be a byte longer, and a node of 16 bytes would take 32.
 * - Objects with references come from GC_MALLOC, which clears them; those without from GC_MALLOC_ATOMIC, which are never scanned. Objects have no
 *   header: a node of two references and a word takes 32 bytes, one of two references 16.
 * - The collector marks with as many threads as there are processors, which is its default; the harness passes no GC_MARKERS on.
 *
 * Pauses are read off the collector's own events: requested (a collection begins), stopped (the other threads stand), resumed (they
 * run), finished (the thread that collected may go on; until then it prepares the sweep).
 */

#ifndef PEER_H
#define PEER_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* For dladdr. */
#endif
#define GC_THREADS
#include <gc.h>

#include <dlfcn.h>
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* A parameter of a workload, and its value. */
typedef struct {
    const char *name;
    uint64_t value;
} parameter;

/* What is to be done. The workload's own parameters come first; its last one has a null name. */
typedef struct {
    parameter *parameters;
    int threads;
    uint64_t seed;
} input;

/* What was done. Objects and payload bytes are the workload's own count: 8 bytes for each field and word. */
typedef struct {
    uint64_t checksum;
    uint64_t operations;
    uint64_t objects;
    uint64_t payload_bytes;
} outcome;

static _Noreturn void fail(const char *what)
{
    fprintf(stderr, "%s\n", what);
    exit(1);
}

static _Noreturn void fail_with(const char *what, int error)
{
    fprintf(stderr, "%s: %s\n", what, strerror(error));
    exit(1);
}

static inline uint64_t get(const input *in, const char *name)
{
    for (const parameter *p = in->parameters; p->name; p++)
        if (strcmp(p->name, name) == 0)
            return p->value;
    fail("a workload asked for a parameter that it does not have");
}

/* The boundaries of `thread`'s part of `total` items: its first, and the one after its last. */
typedef struct {
    uint64_t from, until;
} range;

static inline range share(uint64_t total, int threads, int thread)
{
    range part = { (uint64_t)((unsigned __int128)total * thread / threads),
                   (uint64_t)((unsigned __int128)total * (thread + 1) / threads) };
    return part;
}

/* The finaliser of SplitMix64 (Steele, Lea, Flood, OOPSLA 2014). */
static inline uint64_t mix(uint64_t value)
{
    value = (value ^ (value >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    value = (value ^ (value >> 27)) * UINT64_C(0x94d049bb133111eb);
    return value ^ (value >> 31);
}

/* xoshiro256++ (Blackman, Vigna, TOMS 2021), its state filled by SplitMix64. */
typedef struct {
    uint64_t s[4];
} generator;

/* The sequence numbered `stream` of a run with this seed. */
static inline generator generator_new(uint64_t seed, uint64_t stream)
{
    generator g;
    uint64_t state = mix(seed) + stream * UINT64_C(0x9e3779b97f4a7c15);
    for (int i = 0; i < 4; i++)
        g.s[i] = mix(state += UINT64_C(0x9e3779b97f4a7c15));
    return g;
}

static inline uint64_t rotate_left(uint64_t value, int by)
{
    return (value << by) | (value >> (64 - by));
}

static inline uint64_t next(generator *g)
{
    uint64_t result = rotate_left(g->s[0] + g->s[3], 23) + g->s[0];
    uint64_t shifted = g->s[1] << 17;
    g->s[2] ^= g->s[0];
    g->s[3] ^= g->s[1];
    g->s[1] ^= g->s[2];
    g->s[0] ^= g->s[3];
    g->s[2] ^= shifted;
    g->s[3] = rotate_left(g->s[3], 45);
    return result;
}

/* A number below `bound`: the upper half of the 128-bit product. */
static inline uint64_t below(generator *g, uint64_t bound)
{
    return (uint64_t)(((unsigned __int128)next(g) * bound) >> 64);
}

/* Nanoseconds of a clock. */
static uint64_t read_clock(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* Runs `part` on new threads, numbered from 0. What they are to leave goes through `shared`, which the collector does not scan unless it is on
 * a stack. */
typedef void (*part_function)(const input *in, int thread, void *shared);

typedef struct {
    const input *in;
    part_function part;
    void *shared;
    int thread;
    pthread_rwlock_t *all; /* Held until every thread has been started. */
    uint64_t starting_ns;
} start;

/* For how long the thread has waited for threads to be started, which is no part of what is timed. */
static _Thread_local uint64_t starting_ns;

static void *run_part(void *argument)
{
    start *s = argument;
    pthread_rwlock_rdlock(s->all);
    pthread_rwlock_unlock(s->all);
    s->part(s->in, s->thread, s->shared);
    s->starting_ns = starting_ns;
    return NULL;
}

/* They begin when all of them are there. */
static void on_threads(const input *in, int threads, part_function part, void *shared)
{
    /* Uncollectable memory is scanned, and so keeps alive what `shared` refers to. */
    pthread_t *handles = GC_MALLOC_UNCOLLECTABLE(threads * sizeof *handles);
    start *starts = GC_MALLOC_UNCOLLECTABLE(threads * sizeof *starts);
    if (!handles || !starts)
        fail("out of memory");
    pthread_rwlock_t all = PTHREAD_RWLOCK_INITIALIZER;
    uint64_t begun = read_clock(CLOCK_MONOTONIC), within = 0;
    pthread_rwlock_wrlock(&all);
    for (int thread = 0; thread < threads; thread++) {
        starts[thread] = (start){ in, part, shared, thread, &all, 0 };
        int error = pthread_create(&handles[thread], NULL, run_part, &starts[thread]);
        if (error != 0)
            fail_with("cannot start a thread", error);
    }
    pthread_rwlock_unlock(&all);
    starting_ns += read_clock(CLOCK_MONOTONIC) - begun;
    for (int thread = 0; thread < threads; thread++) {
        pthread_join(handles[thread], NULL);
        /* Those that start threads of their own wait for them at the same time. */
        within = starts[thread].starting_ns > within ? starts[thread].starting_ns : within;
    }
    starting_ns += within;
    GC_FREE(handles);
    GC_FREE(starts);
}

/*
 * ---- Pauses. The callback runs with the collector's lock held, for some events with every other thread stopped: it allocates nothing. The
 * record comes from malloc, where the collector does not look: static memory it would scan in each collection.
 */

enum { MOST_PAUSES = 1 << 17 };

typedef struct {
    uint64_t requested, stopped, resumed, finished;
} pause_times;

static pause_times *pauses;
static pause_times current;
static size_t pause_count;
static uint64_t pauses_lost;
static uint64_t peak_heap_bytes;

static void note_heap_bytes(void)
{
    uint64_t used = GC_get_heap_size() - GC_get_free_bytes();
    if (used > peak_heap_bytes)
        peak_heap_bytes = used;
}

static void GC_CALLBACK on_event(GC_EventType event)
{
    uint64_t now = read_clock(CLOCK_MONOTONIC);
    switch (event) {
    case GC_EVENT_START:
        current = (pause_times){ now, now, now, now };
        note_heap_bytes();
        break;
    case GC_EVENT_POST_STOP_WORLD:
        current.stopped = now;
        break;
    case GC_EVENT_POST_START_WORLD:
        current.resumed = now;
        break;
    case GC_EVENT_END:
        current.finished = now;
        if (pause_count < MOST_PAUSES)
            pauses[pause_count++] = current;
        else
            pauses_lost++;
        break;
    default:
        break;
    }
}

/*
 * ---- Which library this is: not the one whose header was compiled with, but the one that the loader has found. Each line begins so. Names of
 * files are text only as far as they are ASCII; the rest is replaced.
 */

static char runtime[2048];

static void quote(char *to, size_t room, const char *text)
{
    size_t used = 0;
    for (; *text && used + 2 < room; text++) {
        if (*text == '"' || *text == '\\')
            to[used++] = '\\';
        to[used++] = *text < ' ' || *text > '~' ? '?' : *text;
    }
    to[used] = '\0';
}

static void identify(void)
{
    char library[1024] = "", compiler[256];
    Dl_info found;
    char real[4096];
    if (dladdr((void *)(uintptr_t)GC_get_version, &found) != 0 && found.dli_fname)
        quote(library, sizeof library, realpath(found.dli_fname, real) ? real : found.dli_fname);
    quote(compiler, sizeof compiler, __VERSION__);
    unsigned version = GC_get_version();
    snprintf(runtime, sizeof runtime,
             "{\"runtime\":{\"name\":\"Boehm-Demers-Weiser collector\",\"version\":\"%u.%u.%u\",\"program\":\"%s\","
             "\"details\":{\"compiler\":\"%s\"}},",
             version >> 16, version >> 8 & 255, version & 255, library, compiler);
}

/* ---- Out of memory is a result and not an error, as on the other heaps. */

static uint64_t iteration;

static void *GC_CALLBACK on_heap_full(size_t requested)
{
    printf("%s\"iteration\":%" PRIu64 ",\"heap_full\":\"%zu bytes do not fit below the limit of %zu bytes\"}\n", runtime, iteration,
           requested, (size_t)GC_get_heap_size());
    fflush(stdout);
    _exit(0);
}

/* ---- The program. */

/* The largest resident size of this process so far in bytes; 0 where the system does not say. */
static uint64_t peak_resident_bytes(void)
{
    FILE *status = fopen("/proc/self/status", "r");
    char line[256];
    uint64_t kilobytes = 0;
    while (status && fgets(line, sizeof line, status))
        if (sscanf(line, "VmHWM: %" SCNu64, &kilobytes) == 1)
            break;
    if (status)
        fclose(status);
    return kilobytes * 1024;
}

/* Ends this process when standard input does: its other end is held by the harness, which may be killed. */
static void *end_with_parent(void *unused)
{
    char byte;
    ssize_t got;
    do
        got = read(STDIN_FILENO, &byte, 1);
    while (got > 0 || (got < 0 && errno == EINTR));
    _exit(unused == NULL);
}

static void print_pauses(void)
{
    printf("\"pauses_lost\":%" PRIu64 ",\"pauses\":[", pauses_lost);
    for (size_t i = 0; i < pause_count; i++)
        printf("%s[%" PRIu64 ",%" PRIu64 ",%" PRIu64 ",%" PRIu64 "]", i ? "," : "", pauses[i].requested, pauses[i].stopped,
               pauses[i].resumed, pauses[i].finished);
    printf("]}\n");
    fflush(stdout);
}

typedef outcome (*workload_function)(const input *in);

static void measure(workload_function workload, const input *in)
{
    pause_count = 0;
    pauses_lost = 0;
    uint64_t allocated = GC_get_total_bytes();
    uint64_t cpu = read_clock(CLOCK_PROCESS_CPUTIME_ID);
    uint64_t starting = starting_ns;
    uint64_t from = read_clock(CLOCK_MONOTONIC);
    outcome out = workload(in);
    uint64_t until = read_clock(CLOCK_MONOTONIC);
    cpu = read_clock(CLOCK_PROCESS_CPUTIME_ID) - cpu;
    allocated = GC_get_total_bytes() - allocated;
    note_heap_bytes();
    printf("%s\"iteration\":%" PRIu64 ",\"checksum\":\"%016" PRIx64 "\",\"operations\":%" PRIu64 ",\"allocated_objects\":%" PRIu64
           ",\"allocated_payload_bytes\":%" PRIu64 ",\"allocated_bytes\":%" PRIu64 ",\"from_ns\":%" PRIu64 ",\"until_ns\":%" PRIu64
           ",\"wall_ns\":%" PRIu64 ",\"cpu_ns\":%" PRIu64 ",\"heap_bytes\":%" PRIu64 ",",
           runtime, iteration, out.checksum, out.operations, out.objects, out.payload_bytes, allocated, from, until,
           until - from - (starting_ns - starting), cpu,
           peak_heap_bytes);
    uint64_t resident = peak_resident_bytes();
    if (resident)
        printf("\"resident_bytes\":%" PRIu64 ",", resident);
    else
        printf("\"resident_bytes\":null,");
    print_pauses();
}

/* Grows the heap to `bytes` in all. */
static void fix_heap(uint64_t bytes)
{
    enum { BLOCK = 1 << 16 };
    uint64_t size = GC_get_heap_size();
    if (bytes > size && (bytes - size) / BLOCK > 0 && !GC_expand_hp((bytes - size) / BLOCK * BLOCK))
        fail("the system has no memory for a heap of this size");
    GC_set_dont_expand(1);
}

/*
 * Reads NAME=NUMBER arguments, runs the workload once to warm up and then as often as `iterations` says, and prints one line of JSON each
 * time. `parameters` holds the workload's, with their defaults, and ends with a null name.
 */
static int execute(int count, char **arguments, parameter *parameters, workload_function workload)
{
    parameter common[] = { { "threads", 1 }, { "seed", 42 }, { "iterations", 3 }, { "heap-bytes", 64 << 20 }, { NULL, 0 } };
    bool attended = false;
    for (int i = 1; i < count; i++) {
        const char *equals = strchr(arguments[i], '=');
        parameter *found = NULL;
        if (strcmp(arguments[i], "attended") == 0) {
            attended = true;
            continue;
        }
        parameter *lists[] = { parameters, common };
        for (int list = 0; list < 2; list++)
            for (parameter *p = lists[list]; equals && p->name; p++)
                if (strlen(p->name) == (size_t)(equals - arguments[i]) && strncmp(p->name, arguments[i], equals - arguments[i]) == 0)
                    found = p;
        char *end = NULL;
        errno = 0;
        if (found)
            found->value = strtoull(equals + 1, &end, 10);
        if (!found || end == equals + 1 || *end || errno) {
            fprintf(stderr, "%s: cannot take '%s'; NAME=NUMBER, with these names and defaults:", arguments[0], arguments[i]);
            for (int list = 0; list < 2; list++)
                for (parameter *p = lists[list]; p->name; p++)
                    fprintf(stderr, " %s=%" PRIu64, p->name, p->value);
            fprintf(stderr, "\n");
            return 2;
        }
    }
    input in = { parameters, (int)common[0].value, common[1].value };
    if (in.threads < 1 || in.threads > 1024) {
        fprintf(stderr, "%s: threads must be from 1 to 1024\n", arguments[0]);
        return 2;
    }

    identify();
    pauses = calloc(MOST_PAUSES, sizeof *pauses);
    if (!pauses)
        fail("out of memory");
    GC_set_all_interior_pointers(0);
    GC_set_max_heap_size(common[3].value);
    GC_INIT();
    GC_set_warn_proc(GC_ignore_warn_proc);
    GC_set_oom_fn(on_heap_full);
    GC_set_on_collection_event(on_event);
    fix_heap(common[3].value);
    if (attended) {
        /* Unknown to the collector, which need not stop it. */
#undef pthread_create
        pthread_t watcher;
        int error = pthread_create(&watcher, NULL, end_with_parent, NULL);
        if (error != 0)
            fail_with("cannot start a thread", error);
    }
    for (iteration = 0; iteration <= common[2].value; iteration++) {
        measure(workload, &in);
        GC_gcollect(); /* One iteration's garbage is not charged to the next. */
    }
    return 0;
}

#endif
