// Output-stationary array: a PE keeps its sum. Activations move right, weights move down, both
// skewed by delay registers at the edge. Without double_buffer a finished sum goes to the wire of
// its column at once; with it, to a second register that shifts down while the next fold runs.
module array_os #(
    parameter ROWS = 4,
    parameter COLS = 4
) (
    input  wire                     clock,
    input  wire                     reset,
    input  wire                     double_buffer,
    input  wire                     valid_in,   // operands of a step are on the edge
    input  wire                     first_in,   // of the first step of a fold
    input  wire                     last_in,    // of the last one
    input  wire [ROWS*8-1:0]        a_in,
    input  wire [COLS*8-1:0]        w_in,
    output wire                     row_valid,  // a row of results leaves in this cycle
    output wire [COLS*32-1:0]       row_out
);
  genvar r, c;

  wire signed [7:0] a_edge [0:ROWS-1];
  wire [2:0] f_edge [0:ROWS-1];
  wire signed [7:0] w_edge [0:COLS-1];
  generate
    for (r = 0; r < ROWS; r = r + 1) begin : skew_a
      delay #(.WIDTH(8), .DEPTH(r)) line_a (clock, reset, a_in[r*8 +: 8], a_edge[r]);
      delay #(.WIDTH(3), .DEPTH(r)) line_f (
          clock, reset, {last_in & valid_in, first_in & valid_in, valid_in}, f_edge[r]);
    end
    for (c = 0; c < COLS; c = c + 1) begin : skew_w
      delay #(.WIDTH(8), .DEPTH(c)) line_w (clock, reset, w_in[c*8 +: 8], w_edge[c]);
    end
  endgenerate

  // What each PE holds in this cycle. Registers of the neighbours feed them one cycle later.
  wire signed [7:0] a_now [0:ROWS-1][0:COLS-1];
  wire signed [7:0] w_now [0:ROWS-1][0:COLS-1];
  wire [2:0] f_now [0:ROWS-1][0:COLS-1];
  reg signed [7:0] a_reg [0:ROWS-1][0:COLS-1];
  reg signed [7:0] w_reg [0:ROWS-1][0:COLS-1];
  reg [2:0] f_reg [0:ROWS-1][0:COLS-1];
  reg signed [31:0] sum [0:ROWS-1][0:COLS-1];
  wire signed [31:0] sum_now [0:ROWS-1][0:COLS-1];
  generate
    for (r = 0; r < ROWS; r = r + 1) begin : pe_row
      for (c = 0; c < COLS; c = c + 1) begin : pe
        if (c == 0) assign a_now[r][c] = a_edge[r];
        else assign a_now[r][c] = a_reg[r][c-1];
        if (c == 0) assign f_now[r][c] = f_edge[r];
        else assign f_now[r][c] = f_reg[r][c-1];
        if (r == 0) assign w_now[r][c] = w_edge[c];
        else assign w_now[r][c] = w_reg[r-1][c];
        assign sum_now[r][c] = (f_now[r][c][1] ? 32'sd0 : sum[r][c]) + a_now[r][c] * w_now[r][c];
        always @(posedge clock) begin
          a_reg[r][c] <= a_now[r][c];
          w_reg[r][c] <= w_now[r][c];
          f_reg[r][c] <= reset ? 3'b0 : f_now[r][c];
          if (f_now[r][c][0]) sum[r][c] <= sum_now[r][c];
        end
      end
    end
  endgenerate

  // Results of a column: one per cycle, aligned with the other columns by delay registers.
  wire [COLS-1:0] out_valid;
  generate
    for (c = 0; c < COLS; c = c + 1) begin : column
      reg direct_valid;
      reg signed [31:0] direct;
      integer i;
      always @* begin
        direct_valid = 1'b0;
        direct = 32'sd0;
        for (i = 0; i < ROWS; i = i + 1)
          if (f_now[i][c][2]) begin
            direct_valid = 1'b1;
            direct = sum_now[i][c];
          end
      end

      // The second registers: row i passes its value on while the shift has not gone past it.
      reg signed [31:0] second [0:ROWS-1];
      reg [15:0] passed;
      reg shifting;
      integer j;
      always @(posedge clock) begin
        for (j = ROWS - 1; j > 0; j = j - 1)
          if (shifting && passed < j) second[j] <= second[j-1];
        for (j = 0; j < ROWS; j = j + 1) if (f_now[j][c][2]) second[j] <= sum_now[j][c];
        if (reset) shifting <= 1'b0;
        else if (f_now[ROWS-1][c][2]) begin
          shifting <= 1'b1;
          passed <= 16'd0;
        end else if (shifting) begin
          passed <= passed + 16'd1;
          if (passed == ROWS - 1) shifting <= 1'b0;
        end
      end

      delay #(.WIDTH(33), .DEPTH(COLS - 1 - c)) align (
          clock, reset,
          double_buffer ? {shifting, second[ROWS-1]} : {direct_valid, direct},
          {out_valid[c], row_out[c*32 +: 32]});
    end
  endgenerate
  assign row_valid = out_valid[0];
endmodule
