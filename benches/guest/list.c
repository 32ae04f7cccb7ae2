// A linked list of 512 nodes: searched, reversed, sorted by merging.
#include "bench.h"
#define N 512
struct node {
    struct node *next;
    u64 value;
};
static struct node nodes[N];
static struct node *merge(struct node *a, struct node *b) {
    struct node head, *tail = &head;
    while (a && b) {
        if (a->value <= b->value) {
            tail->next = a;
            a = a->next;
        } else {
            tail->next = b;
            b = b->next;
        }
        tail = tail->next;
    }
    tail->next = a ? a : b;
    return head.next;
}
static struct node *sorted(struct node *list, u64 n) {
    if (n == 1) {
        list->next = 0;
        return list;
    }
    struct node *rest = list;
    for (u64 i = 0; i < n / 2; i++) rest = rest->next;
    struct node *b = sorted(rest, n - n / 2);
    return merge(sorted(list, n / 2), b);
}
u64 work(u64 rounds) {
    u64 state = 9, hash = 0;
    for (u64 r = 0; r < rounds; r++) {
        for (int i = 0; i < N; i++) {
            nodes[i].value = next(&state) >> 32;
            nodes[i].next = i + 1 < N ? &nodes[i + 1] : 0;
        }
        struct node *list = sorted(nodes, N);
        for (int s = 0; s < 8; s++) {
            u64 wanted = nodes[(r + s * 61) % N].value, steps = 0;
            for (struct node *n = list; n && n->value != wanted; n = n->next) steps++;
            hash = mix(hash, steps);
        }
        struct node *back = 0;
        while (list) {
            struct node *next = list->next;
            list->next = back;
            back = list;
            list = next;
        }
        hash = mix(hash, back->value);
    }
    return hash;
}
