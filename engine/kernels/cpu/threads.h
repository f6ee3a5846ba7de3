// A pool of threads that sleep while there is nothing to do. Work is cut into tasks by what is computed, never by how many
// threads there are, so results have the same bits on any number of them.
#pragma once
#include <pthread.h>

#include "vector.h"

namespace threads {

typedef void (*Task)(void* context, i64 task);

constexpr int LIMIT = 64;

struct Pool {
    pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    pthread_cond_t begun = PTHREAD_COND_INITIALIZER, ended = PTHREAD_COND_INITIALIZER;
    int wanted = 1, running = 0, busy = 0;
    i64 round = 0;
    Task task = nullptr;
    void* context = nullptr;
    i64 count = 0, next = 0;
};
static Pool pool;

static void take_tasks() {
    for (;;) {
        i64 i = __atomic_fetch_add(&pool.next, 1, __ATOMIC_RELAXED);
        if (i >= pool.count) return;
        pool.task(pool.context, i);
    }
}

static void* worker(void*) {
    i64 seen = 0;
    pthread_mutex_lock(&pool.lock);
    seen = pool.round - 1;
    for (;;) {
        while (pool.round == seen) pthread_cond_wait(&pool.begun, &pool.lock);
        seen = pool.round;
        pthread_mutex_unlock(&pool.lock);
        take_tasks();
        pthread_mutex_lock(&pool.lock);
        if (--pool.busy == 0) pthread_cond_signal(&pool.ended);
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

static int started() {
    if (pool.running >= pool.wanted - 1) return pool.wanted;
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    pthread_mutex_lock(&pool.lock);
    pool.round++;  // workers wait for the round after the one they are born in
    pool.count = 0;
    while (pool.running < pool.wanted - 1) {
        pthread_t id;
        if (pthread_create(&id, &attributes, worker, nullptr)) break;
        pool.running++;
        pool.busy++;
    }
    while (pool.busy) pthread_cond_wait(&pool.ended, &pool.lock);
    pthread_mutex_unlock(&pool.lock);
    return pool.running + 1;
}

// Calls run(context, 0 .. count - 1); on all threads where `cost`, in rough nanoseconds, is worth waking them.
static void run(Task task, void* context, i64 count, double cost) {
    if (pool.wanted == 1 || count < 2 || cost < 40e3) {
        for (i64 i = 0; i < count; i++) task(context, i);
        return;
    }
    started();
    pthread_mutex_lock(&pool.lock);
    pool.task = task, pool.context = context, pool.count = count, pool.next = 0;
    pool.busy = pool.running;
    pool.round++;
    pthread_cond_broadcast(&pool.begun);
    pthread_mutex_unlock(&pool.lock);
    take_tasks();
    pthread_mutex_lock(&pool.lock);
    while (pool.busy) pthread_cond_wait(&pool.ended, &pool.lock);
    pthread_mutex_unlock(&pool.lock);
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
