# The final report of the workflow document, on the two logs given: the timing
# lines are taken out first, as its collector does with grep and tee, though
# without writing line by line, which would cost it time here.
main_file=$(mktemp) test_file=$(mktemp)
trap 'rm -f "$main_file" "$test_file"' EXIT
grep 'Got execution witness for block' "$1" > "$main_file"
grep 'Got execution witness for block' "$2" > "$test_file"

main_times=$(grep -oE 'in [0-9]+ms' "$main_file" | grep -oE '[0-9]+')
main_blocks=$(grep -oE 'block [0-9]+' "$main_file" | grep -oE '[0-9]+')
main_first=$(echo "$main_blocks" | head -1)
main_last=$(echo "$main_blocks" | tail -1)
main_count=$(echo "$main_times" | wc -l | tr -d ' ')
main_min=$(echo "$main_times" | sort -n | head -1)
main_max=$(echo "$main_times" | sort -n | tail -1)
main_sum=$(echo "$main_times" | awk '{s+=$1} END {print s}')
main_avg=$((main_sum / main_count))
main_median=$(echo "$main_times" | sort -n | sed -n "$((main_count / 2))p")
echo "baseline: $main_count blocks $main_first to $main_last, min ${main_min} ms, max ${main_max} ms, average ${main_avg} ms, median ${main_median} ms"

test_times=$(grep -oE 'in [0-9]+ms' "$test_file" | grep -oE '[0-9]+')
test_blocks=$(grep -oE 'block [0-9]+' "$test_file" | grep -oE '[0-9]+')
test_first=$(echo "$test_blocks" | head -1)
test_last=$(echo "$test_blocks" | tail -1)
test_count=$(echo "$test_times" | wc -l | tr -d ' ')
test_min=$(echo "$test_times" | sort -n | head -1)
test_max=$(echo "$test_times" | sort -n | tail -1)
test_sum=$(echo "$test_times" | awk '{s+=$1} END {print s}')
test_avg=$((test_sum / test_count))
test_median=$(echo "$test_times" | sort -n | sed -n "$((test_count / 2))p")
echo "test: $test_count blocks $test_first to $test_last, min ${test_min} ms, max ${test_max} ms, average ${test_avg} ms, median ${test_median} ms"
