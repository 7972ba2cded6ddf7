/*
 * The workload list in C with Boehm's collector: the same lists as in harness/src/workload/list.rs, split over threads in the same way.
 *
 *     cc -O2 -o list list.c -lgc -lpthread
 *     ./list nodes=2000000 rounds=5 keep=0 threads=1 heap-bytes=137363456
 *     harness run list --heap-size 131M --peer boehm
 */

#include "peer.h"

typedef struct node {
    struct node *next;
    uint64_t word;
} node;

/* A digest of the list's words. */
static uint64_t walk(const node *list)
{
    uint64_t sum = 0;
    for (const node *n = list; n; n = n->next)
        sum += mix(n->word);
    return sum;
}

static void part(const input *in, int thread, void *sums)
{
    uint64_t nodes = get(in, "nodes"), rounds = get(in, "rounds");
    bool keep = get(in, "keep") == 1;
    range values = share(nodes, in->threads, thread);
    node **kept = GC_MALLOC(rounds * sizeof *kept);
    uint64_t sum = 0;
    for (uint64_t round = 0; round < rounds; round++) {
        node *list = NULL;
        for (uint64_t value = values.from; value < values.until; value++) {
            node *n = GC_MALLOC(sizeof *n);
            n->next = list;
            n->word = value + round * nodes;
            list = n;
        }
        sum += walk(list);
        if (keep)
            kept[round] = list;
    }
    /* The collector must find the lists for as long as the others have theirs. */
    GC_reachable_here(kept);
    ((uint64_t *)sums)[thread] = sum;
}

static outcome run(const input *in)
{
    uint64_t nodes = get(in, "nodes"), rounds = get(in, "rounds"), threads = (uint64_t)in->threads;
    uint64_t *sums = calloc(threads, sizeof *sums);
    uint64_t checksum = 0;
    if (!sums)
        fail("out of memory");
    on_threads(in, in->threads, part, sums);
    for (uint64_t thread = 0; thread < threads; thread++)
        checksum += sums[thread];
    free(sums);
    return (outcome){ checksum, nodes * rounds, nodes * rounds + threads, 16 * nodes * rounds + 8 * rounds * threads };
}

int main(int count, char **arguments)
{
    parameter parameters[] = { { "nodes", 2000000 }, { "rounds", 5 }, { "keep", 0 }, { NULL, 0 } };
    return execute(count, arguments, parameters, run);
}
