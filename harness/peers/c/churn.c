/*
 * The workload churn in C with Boehm's collector: the same replacements as in harness/src/workload/churn.rs, drawn from the same generators,
 * a table for each thread.
 *
 *     cc -O2 -o churn churn.c -lgc -lpthread
 *     ./churn nodes=100000 threads=1 seed=42 heap-bytes=28311552
 *     harness run churn --heap-size 27M --peer boehm
 */

#include "peer.h"

static const uint64_t TURNS = 20; /* operations for each node of the table */

typedef struct node {
    struct node *a, *b;
    uint64_t word;
} node;

static void part(const input *in, int thread, void *sums)
{
    uint64_t nodes = get(in, "nodes");
    range values = share(nodes, in->threads, thread);
    uint64_t length = values.until - values.from;
    uint64_t sum = 0;
    if (length == 0)
        return;
    generator random = generator_new(in->seed, (uint64_t)thread);
    node **table = GC_MALLOC(length * sizeof *table);
    for (uint64_t slot = 0; slot < length; slot++) {
        table[slot] = GC_MALLOC(sizeof **table);
        table[slot]->word = values.from + slot;
    }
    for (uint64_t turn = 0; turn < TURNS * length; turn++) {
        uint64_t i = below(&random, length), j = below(&random, length), k = below(&random, length);
        bool clears = (next(&random) & 3) != 0;
        node *left = table[j], *right = table[k];
        sum += mix(left->word);
        sum += mix(right->word);
        node *replacement = GC_MALLOC(sizeof *replacement);
        replacement->a = left;
        replacement->b = right;
        replacement->word = nodes + turn;
        node *old = table[i];
        if (clears) {
            old->a = NULL;
            old->b = NULL;
        } else {
            old->a = replacement;
            replacement->b = old;
        }
        table[i] = replacement;
    }
    ((uint64_t *)sums)[thread] = sum;
}

static outcome run(const input *in)
{
    uint64_t nodes = get(in, "nodes"), threads = (uint64_t)in->threads;
    uint64_t *sums = calloc(threads, sizeof *sums);
    uint64_t checksum = 0;
    if (!sums)
        fail("out of memory");
    on_threads(in, in->threads, part, sums);
    for (uint64_t thread = 0; thread < threads; thread++)
        checksum = mix(checksum ^ sums[thread]);
    free(sums);
    uint64_t tables = threads < nodes ? threads : nodes;
    uint64_t made = nodes + TURNS * nodes;
    return (outcome){ checksum, TURNS * nodes, made + tables, 24 * made + 8 * nodes };
}

int main(int count, char **arguments)
{
    parameter parameters[] = { { "nodes", 100000 }, { NULL, 0 } };
    return execute(count, arguments, parameters, run);
}
