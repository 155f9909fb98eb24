/* What depends on the instruction set: the width of vectors, the best tiles, and how denormal numbers are turned off. */

#if defined(__AVX512F__)
#include <immintrin.h>
#define VECTOR_BYTES 64
#define REGISTERS 32
#elif defined(__AVX2__) && defined(__FMA__)
#include <immintrin.h>
#define VECTOR_BYTES 32
#define REGISTERS 16
#elif defined(__aarch64__)
#include <arm_neon.h>
#define VECTOR_BYTES 16
#define REGISTERS 32
#else /* any other processor: correct but slow; only the tests use it */
#define VECTOR_BYTES 16
#define REGISTERS 16
#endif
#if defined(__SSE2__)
#include <immintrin.h>
#endif

/* The vectors of a full chunk, and for chunks of 1 to 4 vectors the columns or images of a tile. All sums of a tile, a
   vector of each row and the broadcast number fit into the registers. */
#if REGISTERS == 32
#define FULL_CHUNK 4
#define STEP_SIZE_1 12
#define STEP_SIZE_2 12
#define STEP_SIZE_3 8
#define STEP_SIZE_4 6
#define PROJECT_SIZE_1 12
#define PROJECT_SIZE_2 10
#define PROJECT_SIZE_3 8
#define PROJECT_SIZE_4 5
#else
#define FULL_CHUNK 3
#define STEP_SIZE_1 8
#define STEP_SIZE_2 6
#define STEP_SIZE_3 4
#define STEP_SIZE_4 2
#define PROJECT_SIZE_1 8
#define PROJECT_SIZE_2 5
#define PROJECT_SIZE_3 4
#define PROJECT_SIZE_4 2
#endif

/* Count denormal numbers as zero from now on in this thread; return what `restore_denormals` takes. */
static inline uint64_t ignore_denormals(void) {
#if defined(__SSE2__)
  const unsigned before = _mm_getcsr();
  _mm_setcsr(before | 0x8040); /* flush to zero, denormals are zero */
  return before;
#elif defined(__aarch64__)
  uint64_t before;
  __asm__ volatile("mrs %0, fpcr" : "=r"(before));
  __asm__ volatile("msr fpcr, %0" : : "r"(before | (1u << 24)) : "memory");
  return before;
#else
  return 0;
#endif
}

static inline void restore_denormals(uint64_t before) {
#if defined(__SSE2__)
  _mm_setcsr((unsigned)before);
#elif defined(__aarch64__)
  __asm__ volatile("msr fpcr, %0" : : "r"(before) : "memory");
#else
  (void)before;
#endif
}

/* Return whether this processor, and its operating system, has the instructions of this library.

   The processor is asked directly: `__builtin_cpu_supports` is a function of the compiler's own library, and that of Zig
   always answers no. Only integers are used, since vectors may be what is missing. */
#if defined(__x86_64__)
#include <cpuid.h>

static inline int has_instructions(void) {
  unsigned leaf1 = 1u << 27 /* OSXSAVE: XGETBV may be used */, leaf7 = 0, kept = 0;
  unsigned a, b, c, d, low, high;
#if defined(__FMA__)
  leaf1 |= 1u << 12;
#endif
#if defined(__AVX2__)
  leaf7 |= 1u << 5;
  kept |= 3u << 1; /* the system keeps XMM and YMM registers for each thread */
#endif
#if defined(__AVX512F__)
  leaf7 |= 1u << 16;
  kept |= 7u << 5; /* and ZMM */
#endif
#if defined(__AVX512DQ__)
  leaf7 |= 1u << 17;
#endif
#if defined(__AVX512BW__)
  leaf7 |= 1u << 30;
#endif
#if defined(__AVX512VL__)
  leaf7 |= 1u << 31;
#endif
  if (!kept) return 1;
  if (!__get_cpuid(1, &a, &b, &c, &d) || (c & leaf1) != leaf1) return 0;
  if (!__get_cpuid_count(7, 0, &a, &b, &c, &d) || (b & leaf7) != leaf7) return 0;
  __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return (low & kept) == kept;
}
#else
static inline int has_instructions(void) { return 1; }
#endif
