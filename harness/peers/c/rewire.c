/*
 * The workload rewire in C with Boehm's collector: the same operations as in harness/src/workload/rewire.rs, drawn from the same generators,
 * on one table that all threads share. Field b is written by racing threads: the stores are relaxed atomics, which cost nothing here.
 *
 *     cc -O2 -o rewire rewire.c -lgc -lpthread
 *     ./rewire nodes=100000 threads=1 seed=42 heap-bytes=14680064
 *     harness run rewire --heap-size 14M --peer boehm
 */

#include "peer.h"

static const uint64_t BLOCK = 4096; /* operations drawn from one generator */
static const uint64_t TURNS = 100;  /* operations for each node of the table */

typedef struct node {
    struct node *a, *b;
    uint64_t word;
} node;

/* One block of operations; a digest of the words seen. */
static uint64_t rewire(node **table, uint64_t nodes, uint64_t count, generator random)
{
    uint64_t sum = 0;
    for (uint64_t operation = 0; operation < count; operation++) {
        uint64_t i = below(&random, nodes), j = below(&random, nodes);
        node *moved = table[i]->a;
        __atomic_store_n(&table[j]->b, moved, __ATOMIC_RELAXED);
        sum += mix(moved->word);
    }
    return sum;
}

typedef struct {
    node **table;
    uint64_t *sums;
} shared_state;

static void part(const input *in, int thread, void *shared)
{
    shared_state *s = shared;
    uint64_t nodes = get(in, "nodes"), operations = TURNS * nodes;
    range blocks = share((operations + BLOCK - 1) / BLOCK, in->threads, thread);
    uint64_t sum = 0;
    for (uint64_t block = blocks.from; block < blocks.until; block++) {
        uint64_t left = operations - block * BLOCK;
        sum += rewire(s->table, nodes, left < BLOCK ? left : BLOCK, generator_new(in->seed, block));
    }
    s->sums[thread] = sum;
}

/* Makes the nodes, then points each one's field a at a random one. */
static node **build(uint64_t nodes, uint64_t seed)
{
    node **table = GC_MALLOC(nodes * sizeof *table);
    for (uint64_t index = 0; index < nodes; index++) {
        table[index] = GC_MALLOC(sizeof **table);
        table[index]->word = index;
    }
    /* Streams of the operations count from 0; this one is none of them. */
    generator random = generator_new(seed, UINT64_MAX);
    for (uint64_t index = 0; index < nodes; index++)
        table[index]->a = table[below(&random, nodes)];
    return table;
}

static void build_and_rewire(const input *in, int thread, void *checksum)
{
    (void)thread;
    /* On this thread's stack, so that the table is found. */
    shared_state s = { build(get(in, "nodes"), in->seed), calloc((size_t)in->threads, sizeof *s.sums) };
    if (!s.sums)
        fail("out of memory");
    on_threads(in, in->threads, part, &s);
    for (int t = 0; t < in->threads; t++)
        *(uint64_t *)checksum += s.sums[t];
    free(s.sums);
}

static outcome run(const input *in)
{
    uint64_t nodes = get(in, "nodes"), checksum = 0;
    on_threads(in, 1, build_and_rewire, &checksum);
    return (outcome){ checksum, TURNS * nodes, nodes + 1, 32 * nodes };
}

int main(int count, char **arguments)
{
    parameter parameters[] = { { "nodes", 100000 }, { NULL, 0 } };
    return execute(count, arguments, parameters, run);
}
