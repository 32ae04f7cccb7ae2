# What a build does, with what busybox has: sources are written, each is preprocessed, compiled, and packed by a process of
# its own, two at a time; all are linked, and the sum is told. $units says how many sources there are.
set -e
cd "$place"
unit() {
  awk -v unit="$1" 'BEGIN {
    state = unit * 7919 + 1
    for (line = 0; line < 120; line++) {
      state = (state * 1103 + 12345) % 65536
      printf "int f%d_%d(int a) { /* %d */ return a * %d + CONST_%d; }\n", unit, line, line, state, state % 16
    }
  }' > "u$1.c"
  sed -e 's,/\*[^*]*\*/,,' -e 's/CONST_\([0-9]*\)/(\1 << 2)/' "u$1.c" > "u$1.i"
  awk '{ gsub(/[(){};]/, " & "); for (i = 1; i <= NF; i++) if ($i ~ /^[a-z]/) seen[$i]++; else sum = (sum * 31 + length($i)) % 65521 }
    { print NR, NF, sum }
    END { n = 0; for (word in seen) n += seen[word]; print n }' "u$1.i" | LC_ALL=C sort > "u$1.s"
  gzip -c "u$1.s" > "u$1.o"
  gzip -dc "u$1.o" | cmp - "u$1.s"
  rm "u$1.i"
}
mkdir build
cd build
n=0
while [ $n -lt $units ]; do
  unit $n &
  one=$!
  unit $((n + 1)) &
  wait $one
  wait $!
  n=$((n + 2))
done
n=0
while [ $n -lt $units ]; do gzip -dc u$n.o; n=$((n + 1)); done > linked
sum=$(cat u*.c linked | md5sum)
cd ..
rm -r build
echo "built: ${sum%% *}"
