# shellcheck shell=bash disable=SC2034
# Whether Prometheus answers what the dashboards ask. To be sourced, from the repository's folder and with deploy/stepwise.sh,
# by a script that has `die`, $PROMETHEUS (where it is) and `from_client CMD…`, which runs a program that reaches it; and which
# adds to SILENT what its own cloud does not tell.
#
# Many questions fall back on something that is always there ("or vector(0)"), so that a panel shows nothing wrong instead
# of nothing. Here they are asked without that: a metric or a label that nobody tells would never be noticed.

# What no cloud tells in which nothing is wrong: the metric and why, in English and in Japanese. A question that names one
# has no answer, and any other has one; else whoever runs this must cause it, or the list is wrong.
SILENT=(
  'watari_request_panics_total|no handler panics|ハンドラの異常終了はない'
  'watari_bucket_remade_total|no bucket is lost|失われたバケットはない'
  'watari_node_fencing|no power controller is configured|電源制御装置を設定していない'
  'watari_node_strain|no node is short of anything for two minutes (nor may the disk under them be full by nine tenths)|何かが 2 分間不足しているノードはない（ノードのディスクの使用率が 9 割を超えていないことも必要）'
  'watari_backup_newest_timestamp_seconds|no folder of backups is configured|バックアップの置き場所を設定していない'
)
# disk_is_told FOLDER CMD…: whether a node tells of the device under a folder, as CMD sees it: if it is a single one that the
# kernel counts for (not so of btrfs, or of an overlay).
disk_is_told() {
  # shellcheck disable=SC2016 # that shell's
  "${@:2}" sh -c 'grep -qE "^ *$(stat -c "%Hd +%Ld" "$1") " /proc/diskstats' told "$1" ||
    SILENT+=('watari_host_disk_bytes_total|the disk under the nodes is no single device|ノードのディスクが単一のデバイスではない')
}

# prometheus PATH [CURL'S ARGUMENTS…]: asks its API.
prometheus() { from_client curl -fsS -m 5 "$PROMETHEUS/api/v1/$1" "${@:2}" </dev/null; }
# first_of METRIC LABEL: the first value of a label.
first_of() {
  prometheus query -G --data-urlencode "query=group by ($2) ($1)" |
    jq -er --arg name "$2" '[.data.result[].metric[$name]] | sort | first // empty'
}
is_found() { first_of "$@" >/dev/null; }

# alert_is NAME STATE: whether it fires, or is pending.
alert_is() { prometheus alerts | jq -e --arg name "$1" --arg state "$2" 'any(.data.alerts[]; .labels.alertname == $name and (.state | test($state)))' >/dev/null; }

# gather_questions BOARD…: all that these dashboards ask, without what it falls back on, as a list in $asked; none of it is
# answered yet ($unanswered). A dashboard may ask about one site or server, as its variables say: it is asked about all where
# it can be, else about what ABOUT names for the variable, else about the first that there is.
declare -A ABOUT=()
gather_questions() {
  local board questions variable metric label value
  asked='[]'
  for board; do
    questions=$(jq -c '[.panels[].targets[]?.expr]' "$board")
    while read -r variable metric label value; do
      if [ "$value" = - ]; then
        within 40 is_found "$metric" "$label" || die "no value of the variable $variable of $board within 40 s"
        value=${ABOUT[$variable]:-$(first_of "$metric" "$label")}
      fi
      questions=$(jq -c --arg variable "$variable" --arg value "$value" 'map(gsub("[$]\($variable)\\b"; $value))' <<<"$questions")
    done < <(jq -r '.templating.list[]? | (.definition | capture("^label_values\\((?<metric>\\w+), (?<label>\\w+)\\)$")) as $of |
      "\(.name) \($of.metric) \($of.label) \(.allValue // "-")"' "$board")
    asked=$(jq -c --argjson more "$questions" '. + $more' <<<"$asked")
  done
  asked=$(jq -c 'map(sub(" or (on \\(\\) )?vector\\(0\\)$"; "") | sub(" or 0 [*] .*$"; "")) | unique' <<<"$asked")
  [ "$(jq length <<<"$asked")" -ge "$((10 * $#))" ] || die "the dashboards ask for hardly anything: $asked"
  jq -e 'all(test(" or (on \\(\\) )?(vector\\(|[0-9])") | not)' <<<"$asked" >/dev/null ||
    die "a question of the dashboards falls back on something in a way that is not known here: $asked"
  unanswered=$asked missing=$asked
}

# ask_again [FROM UNTIL]: asks all at once what has had no answer so far: of now, or of each moment between two (in seconds since
# 1970), as a panel does that draws a line. A quotient of nothing (NaN) is no answer.
ask_again() {
  local how='query?'
  [ "$unanswered" != '[]' ] || return 0
  # More often than is scraped: what one scrape finds and the next does not is an answer, too.
  [ $# = 0 ] || how="query_range?start=$1&end=$2&step=2&"
  unanswered=$(jq -r --arg at "$PROMETHEUS/api/v1/$how" '.[] | "url = \"\($at)query=\(@uri)\""' <<<"$unanswered" |
    from_client curl -sS -m 5 --fail-early -K - |
    jq -cs --argjson asked "$unanswered" '[$asked, .] | transpose |
      map(select(all(.[1].data.result[]? | (.value // empty), .values[]?; .[1] == "NaN")) | .[0])')
}
# has_answered METRIC: whether each question that names it has been answered by now.
has_answered() {
  ask_again && jq -e --arg name "$1" 'all(test("\\b\($name)\\b") | not)' <<<"$unanswered" >/dev/null
}
silent_names() { printf '%s\n' "${SILENT[@]%%|*}" | jq -Rnc '[inputs]'; }
# all_answer [FROM UNTIL]: whether all have been answered but what names one of SILENT; $missing are those that were not.
all_answer() {
  ask_again "$@" &&
    missing=$(jq -c --argjson silent "$(silent_names)" 'map(select(. as $one | all($silent[]; . as $name | $one | test("\\b\($name)\\b") | not)))' <<<"$unanswered") &&
    [ "$missing" = '[]' ]
}
# check_silent: fails if one of SILENT is asked for by nobody, or is not silent.
check_silent() {
  local entry name why
  for entry in "${SILENT[@]}"; do
    IFS='|' read -r name why _ <<<"$entry"
    jq -e --arg name "$name" 'any(test("\\b\($name)\\b"))' <<<"$asked" >/dev/null ||
      die "no dashboard asks for $name, which is said to be silent (SILENT)"
    jq -e --arg name "$name" --argjson unanswered "$unanswered" '. - $unanswered | any(test("\\b\($name)\\b")) | not' <<<"$asked" >/dev/null ||
      die "$name has data, though $why: mend what is wrong, or the list (SILENT)"
  done
}
