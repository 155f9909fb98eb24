/* Threads of one call that wait for each other. */

#define MAX_THREADS 256

struct barrier {
  atomic_long waiting, round;
};

/* Wait until all threads of a call have arrived. */
static void wait_for_all(struct barrier *barrier, long threads) {
  if (threads == 1) return;
  const long round = atomic_load(&barrier->round);
  if (atomic_fetch_add(&barrier->waiting, 1) + 1 == threads) {
    atomic_store(&barrier->waiting, 0);
    atomic_store(&barrier->round, round + 1);
    return;
  }
  for (long tries = 0; atomic_load(&barrier->round) == round; tries++)
    if (tries > 1000) sched_yield(); /* more threads than free cores */
}
