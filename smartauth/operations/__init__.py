"""What operators look at while the server runs: numbers for their monitoring, and the state behind them."""
