// A pool of threads that sleep while there is nothing to do (they look out for 20 microseconds first: a program's kernels follow
// one another faster than a thread wakes). Work is cut into tasks by what is computed, never by how many threads there are, so
// results have the same bits on any number of them.
#pragma once
#include <pthread.h>

#include "vector.h"

namespace threads {

typedef void (*Task)(void* context, i64 task);

constexpr int LIMIT = 64, LOOKS = 1000;

// A thread's tasks: what is computed side by side, in one layer after the other, stays with one core. Who has done its own takes others'.
struct alignas(64) Share {
    i64 next, end;
};

struct Pool {
    pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    pthread_mutex_t turn = PTHREAD_MUTEX_INITIALIZER;  // whose tasks are being done
    pthread_cond_t begun = PTHREAD_COND_INITIALIZER, ended = PTHREAD_COND_INITIALIZER;
    int wanted = 1, running = 0, busy = 0;
    i64 round = 0;
    Task task = nullptr;
    void* context = nullptr;
    Share share[LIMIT] = {};
};
static Pool pool;
static thread_local bool inside = false;  // doing a task: a task's own tasks are done where it is

static inline void breathe() {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

// Waits until done() holds: looking for a while, then asleep until `signal`.
template <class F>
static void await(pthread_cond_t* signal, const F& done) {
    for (int i = 0; i < LOOKS; i++, breathe())
        if (done()) return;
    pthread_mutex_lock(&pool.lock);
    while (!done()) pthread_cond_wait(signal, &pool.lock);
    pthread_mutex_unlock(&pool.lock);
}

static i64 rounds() { return __atomic_load_n(&pool.round, __ATOMIC_ACQUIRE); }
static bool idle() { return __atomic_load_n(&pool.busy, __ATOMIC_ACQUIRE) == 0; }

static void announce(pthread_cond_t* signal) {
    pthread_mutex_lock(&pool.lock);
    pthread_cond_broadcast(signal);
    pthread_mutex_unlock(&pool.lock);
}

static void take_tasks(int thread) {
    for (int i = 0; i < pool.wanted; i++) {
        Share& s = pool.share[(thread + i) % pool.wanted];
        for (i64 task; (task = __atomic_fetch_add(&s.next, 1, __ATOMIC_RELAXED)) < s.end;) pool.task(pool.context, task);
    }
}

static void* worker(void* birth) {  // in which round, and which worker
    int index = (int)((i64)birth % LIMIT);
    inside = true;
    for (i64 last = (i64)birth / LIMIT;; last++) {
        await(&pool.begun, [&] { return rounds() != last; });
        if (index < pool.wanted - 1) take_tasks(index + 1);
        if (__atomic_sub_fetch(&pool.busy, 1, __ATOMIC_ACQ_REL) == 0) announce(&pool.ended);
    }
    return nullptr;
}

// In a child of fork there are no threads but the one that forked: the pool starts anew.
static void forget() { pool = Pool{.wanted = pool.wanted}; }

static void set(int n) {
    static bool watched = false;
    if (!watched) watched = pthread_atfork(nullptr, nullptr, forget) == 0;
    pool.wanted = (int)most(1, least(n, LIMIT));
}

static void start() {
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    while (pool.running < pool.wanted - 1) {
        pthread_t id;
        if (pthread_create(&id, &attributes, worker, (void*)(pool.round * LIMIT + pool.running))) break;
        pool.running++;
    }
    pthread_attr_destroy(&attributes);
}

// Calls run(context, 0 .. count - 1); on all threads where `cost`, in rough nanoseconds, is worth it.
static void run(Task task, void* context, i64 count, double cost) {
    if (inside || pool.wanted == 1 || count < 2 || cost < 20e3 || pthread_mutex_trylock(&pool.turn)) {
        for (i64 i = 0; i < count; i++) task(context, i);
        return;
    }
    inside = true;
    start();
    pool.task = task, pool.context = context;
    for (int i = 0; i < pool.wanted; i++) pool.share[i] = {count * i / pool.wanted, count * (i + 1) / pool.wanted};
    __atomic_store_n(&pool.busy, pool.running, __ATOMIC_RELAXED);
    __atomic_store_n(&pool.round, pool.round + 1, __ATOMIC_RELEASE);
    announce(&pool.begun);
    take_tasks(0);
    await(&pool.ended, idle);
    inside = false;
    pthread_mutex_unlock(&pool.turn);
}

template <class F>
static void each(i64 count, double cost, const F& body) {
    run([](void* context, i64 i) { (*(const F*)context)(i); }, (void*)&body, count, cost);
}

// Splits [0, n) into pieces of `grain` and calls body(low, high) for each.
template <class F>
static void ranges(i64 n, i64 grain, double cost, const F& body) {
    each(up(n, grain), cost, [&](i64 i) { body(i * grain, least(n, (i + 1) * grain)); });
}

}  // namespace threads
