// Reads cases from standard input: size stationary double_buffer m n k, then left [m][k] and right
// [n][k]. Writes for each the cycles, then the result [m][n].
#include <cstdio>
#include <cstdlib>

#include "Vreferee.h"
#include "verilated.h"

static const int SIDE = 32;
static const int LIMIT = 1000000;

static void tick(Vreferee &top) {
  top.clock = 0;
  top.eval();
  top.clock = 1;
  top.eval();
}

static bool load(Vreferee &top, bool left, int rows, int k) {
  for (int row = 0; row < rows; row++) {
    for (int i = 0; i < k; i++) {
      int value;
      if (std::scanf("%d", &value) != 1) return false;
      top.write_left = left;
      top.write_right = !left;
      top.address = row * SIDE + i;
      top.data = value;
      tick(top);
    }
  }
  top.write_left = top.write_right = 0;
  return true;
}

int main() {
  VerilatedContext context;
  Vreferee top(&context);
  int size, stationary, double_buffer, m, n, k;
  while (std::scanf("%d %d %d %d %d %d", &size, &stationary, &double_buffer, &m, &n, &k) == 6) {
    top.reset = 1;
    top.size = size;
    top.stationary = stationary;
    top.double_buffer = double_buffer;
    top.m = m;
    top.n = n;
    top.k = k;
    if (!load(top, true, m, k) || !load(top, false, n, k)) return 1;
    for (int i = 0; i < 64; i++) tick(top);  // empties all delay registers
    top.reset = 0;
    for (int i = 0; i < LIMIT && !top.done; i++) tick(top);
    if (!top.done) return 2;
    std::printf("%u", top.cycles);
    for (int row = 0; row < m; row++) {
      for (int col = 0; col < n; col++) {
        top.address = row * SIDE + col;
        top.eval();
        std::printf(" %d", static_cast<int>(top.result));
      }
    }
    std::printf("\n");
  }
  return 0;
}
