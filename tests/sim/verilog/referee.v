// Arrays of several sizes in one build; `size` says which of them is clocked.
module referee (
    input  wire               clock,
    input  wire               reset,
    input  wire [1:0]         size,
    input  wire               stationary,
    input  wire               double_buffer,
    input  wire [15:0]        m,
    input  wire [15:0]        n,
    input  wire [15:0]        k,
    input  wire               write_left,
    input  wire               write_right,
    input  wire [15:0]        address,
    input  wire signed [7:0]  data,
    output wire signed [31:0] result,
    output wire [31:0]        cycles,
    output wire               done
);
  wire signed [31:0] results [0:3];
  wire [31:0] counts [0:3];
  wire [3:0] dones;
  assign result = results[size];
  assign cycles = counts[size];
  assign done = dones[size];

  bench #(1, 1) bench_0 (clock && size == 0, reset, stationary, double_buffer, m, n, k, write_left,
      write_right, address, data, results[0], counts[0], dones[0]);
  bench #(2, 3) bench_1 (clock && size == 1, reset, stationary, double_buffer, m, n, k, write_left,
      write_right, address, data, results[1], counts[1], dones[1]);
  bench #(4, 2) bench_2 (clock && size == 2, reset, stationary, double_buffer, m, n, k, write_left,
      write_right, address, data, results[2], counts[2], dones[2]);
  bench #(3, 5) bench_3 (clock && size == 3, reset, stationary, double_buffer, m, n, k, write_left,
      write_right, address, data, results[3], counts[3], dones[3]);
endmodule
