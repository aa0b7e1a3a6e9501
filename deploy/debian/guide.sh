# shellcheck shell=bash
# What the guides have people type. To be sourced by a script with `die` and $REPO.

# guide PAGE HEADING N PATTERN: the commands of the N-th block of that section, as they stand there; one is like PATTERN.
guide() {
  local commands
  commands=$(awk -v heading="## $2" -v wanted="$3" '/^## / {there = $0 == heading} there && /^```sh$/ {block++; inside = block == wanted; next}
    /^```$/ {inside = 0} inside' "$REPO/$1")
  grep -q "$4" <<<"$commands" || die "block $3 of '$2' in $1 has no '$4': $commands"
  printf '%s\n' "$commands"
}
