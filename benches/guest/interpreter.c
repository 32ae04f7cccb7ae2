// An interpreter of bytecode with one indirect jump for each instruction: counts primes below 1000 with a sieve.
#include "bench.h"
enum { PUSH, LOAD, STORE, ADD, SUB, LESS, JUMP, UNLESS, GET, PUT, MUL, HALT };
static u8 code[256];
static int at;
static void op(int a) { code[at++] = a; }
static void op1(int a, int b) { op(a), op(b & 0xff), op(b >> 8 & 0xff); }
#define TOP 1000
enum { I, J, COUNT };
void prepare(void) {
    // for i = 2; i < TOP; i++: if !cells[i]: count++, for j = i * i; j < TOP; j += i: cells[j] = 1
    op1(PUSH, 2), op1(STORE, I), op1(PUSH, 0), op1(STORE, COUNT);
    int outer = at;
    op1(LOAD, I), op1(PUSH, TOP), op(LESS);
    int exit = at;
    op1(UNLESS, 0);
    op1(LOAD, I), op(GET), op1(PUSH, 1), op(LESS);
    int composite = at;
    op1(UNLESS, 0);
    op1(LOAD, COUNT), op1(PUSH, 1), op(ADD), op1(STORE, COUNT);
    op1(LOAD, I), op1(LOAD, I), op(MUL), op1(STORE, J);
    int inner = at;
    op1(LOAD, J), op1(PUSH, TOP), op(LESS);
    int done = at;
    op1(UNLESS, 0);
    op1(LOAD, J), op1(PUSH, 1), op(PUT);
    op1(LOAD, J), op1(LOAD, I), op(ADD), op1(STORE, J), op1(JUMP, inner);
    int step = at;
    code[done + 1] = code[composite + 1] = step;
    op1(LOAD, I), op1(PUSH, 1), op(ADD), op1(STORE, I), op1(JUMP, outer);
    code[exit + 1] = at;
    op1(LOAD, COUNT), op(HALT);
}
static i64 cells[TOP], variables[4];
static i64 interpret(void) {
    static const void *const arms[] = {&&push, &&load, &&store, &&add,  &&sub, &&less,
                                       &&jump, &&unless, &&get, &&put, &&mul, &&halt};
    i64 stack[16], *sp = stack;
    const u8 *pc = code;
#define NEXT goto *arms[*pc++]
#define WORD (pc += 2, pc[-2] | pc[-1] << 8)
    NEXT;
push:
    *sp++ = WORD;
    NEXT;
load:
    *sp++ = variables[WORD];
    NEXT;
store:
    variables[WORD] = *--sp;
    NEXT;
add:
    sp--, sp[-1] += *sp;
    NEXT;
sub:
    sp--, sp[-1] -= *sp;
    NEXT;
less:
    sp--, sp[-1] = sp[-1] < *sp;
    NEXT;
jump:
    pc = code + WORD;
    NEXT;
unless : {
    int to = WORD;
    if (!*--sp) pc = code + to;
    NEXT;
}
get:
    sp[-1] = cells[sp[-1]];
    NEXT;
put:
    sp -= 2, cells[sp[0]] = sp[1];
    NEXT;
mul:
    sp--, sp[-1] *= *sp;
    NEXT;
halt:
    return sp[-1];
}
u64 work(u64 rounds) {
    u64 found = 0;
    for (u64 r = 0; r < rounds; r++) {
        for (int i = 0; i < TOP; i++) cells[i] = 0;
        found += interpret();
    }
    return found;
}
