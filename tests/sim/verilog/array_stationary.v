// Array with a stationary operand: weights, or activations with the roles exchanged. Stationary
// operands are pushed down from the top, the lowest row first; the first moving operand of a fold
// makes a PE take its own over. Sums move down and leave aligned at the bottom.
module array_stationary #(
    parameter ROWS = 4,
    parameter COLS = 4
) (
    input  wire               clock,
    input  wire               reset,
    input  wire               load_in,   // a row of stationary operands is on the edge
    input  wire [COLS*8-1:0]  s_in,
    input  wire               valid_in,  // a row of moving operands is on the edge
    input  wire               first_in,  // the first one of a fold
    input  wire [ROWS*8-1:0]  x_in,
    output wire               row_valid,
    output wire [COLS*32-1:0] row_out
);
  genvar r, c;

  wire signed [7:0] x_edge [0:ROWS-1];
  wire [1:0] f_edge [0:ROWS-1];
  wire signed [7:0] s_edge [0:COLS-1];
  wire [COLS-1:0] l_edge;
  generate
    for (r = 0; r < ROWS; r = r + 1) begin : skew_x
      delay #(.WIDTH(8), .DEPTH(r)) line_x (clock, reset, x_in[r*8 +: 8], x_edge[r]);
      delay #(.WIDTH(2), .DEPTH(r)) line_f (
          clock, reset, {first_in & valid_in, valid_in}, f_edge[r]);
    end
    for (c = 0; c < COLS; c = c + 1) begin : skew_s
      delay #(.WIDTH(8), .DEPTH(c)) line_s (clock, reset, s_in[c*8 +: 8], s_edge[c]);
      delay #(.WIDTH(1), .DEPTH(c)) line_l (clock, reset, load_in, l_edge[c]);
    end
  endgenerate

  wire signed [7:0] x_now [0:ROWS-1][0:COLS-1];
  wire [1:0] f_now [0:ROWS-1][0:COLS-1];
  wire signed [7:0] s_now [0:ROWS-1][0:COLS-1];
  wire signed [31:0] sum_now [0:ROWS-1][0:COLS-1];
  wire push [0:ROWS][0:COLS-1];  // an operand comes into this row
  reg signed [7:0] x_reg [0:ROWS-1][0:COLS-1];
  reg [1:0] f_reg [0:ROWS-1][0:COLS-1];
  reg signed [7:0] waits [0:ROWS-1][0:COLS-1];  // loaded, not yet taken over
  reg fresh [0:ROWS-1][0:COLS-1];
  reg signed [7:0] stays [0:ROWS-1][0:COLS-1];
  reg signed [31:0] sum [0:ROWS-1][0:COLS-1];
  generate
    for (c = 0; c < COLS; c = c + 1) begin : edge_push
      assign push[0][c] = l_edge[c];
    end
    for (r = 0; r < ROWS; r = r + 1) begin : pe_row
      for (c = 0; c < COLS; c = c + 1) begin : pe
        if (c == 0) assign x_now[r][c] = x_edge[r];
        else assign x_now[r][c] = x_reg[r][c-1];
        if (c == 0) assign f_now[r][c] = f_edge[r];
        else assign f_now[r][c] = f_reg[r][c-1];
        assign s_now[r][c] = f_now[r][c][1] ? waits[r][c] : stays[r][c];
        if (r == 0) assign sum_now[r][c] = x_now[r][c] * s_now[r][c];
        else assign sum_now[r][c] = sum[r-1][c] + x_now[r][c] * s_now[r][c];
        // A row hands its operand down when the next one comes, unless it has been taken over.
        assign push[r+1][c] = push[r][c] & fresh[r][c] & ~f_now[r][c][1];
        always @(posedge clock) begin
          x_reg[r][c] <= x_now[r][c];
          f_reg[r][c] <= reset ? 2'b0 : f_now[r][c];
          if (f_now[r][c][0]) sum[r][c] <= sum_now[r][c];
          stays[r][c] <= s_now[r][c];
          if (reset) fresh[r][c] <= 1'b0;
          else if (push[r][c]) fresh[r][c] <= 1'b1;
          else if (f_now[r][c][1]) fresh[r][c] <= 1'b0;
        end
        if (r == 0) begin : top
          always @(posedge clock) if (push[r][c]) waits[r][c] <= s_edge[c];
        end else begin : below
          always @(posedge clock) if (push[r][c]) waits[r][c] <= waits[r-1][c];
        end
      end
    end
  endgenerate

  wire [COLS-1:0] out_valid;
  generate
    for (c = 0; c < COLS; c = c + 1) begin : column
      delay #(.WIDTH(33), .DEPTH(COLS - 1 - c)) align (
          clock, reset, {f_now[ROWS-1][c][0], sum_now[ROWS-1][c]},
          {out_valid[c], row_out[c*32 +: 32]});
    end
  endgenerate
  assign row_valid = out_valid[0];
endmodule
