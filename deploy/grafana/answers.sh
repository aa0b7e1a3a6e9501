# shellcheck shell=bash disable=SC2034
# Whether Prometheus answers what the dashboards ask. To be sourced, from the repository's folder and with deploy/stepwise.sh,
# by a script that has `die`, $PROMETHEUS (where it is) and `from_client CMD…`, which runs a program that reaches it.
#
# Many questions fall back on something that is always there ("or vector(0)"), so that a panel shows nothing wrong instead
# of nothing. Here they are asked without that: a metric or a label that nobody tells would never be noticed.

# What no cloud tells in which nothing is wrong, or which lacks something: the metric and why. A question that names one has no
# answer, and any other has one; else whoever runs this must cause it, or the list is wrong.
SILENT=(
  'watari_request_panics_total|no handler panics'
  'watari_bucket_remade_total|no bucket is lost'
  'watari_node_fencing|no power controller is configured'
  'watari_node_strain|no node is short of anything for two minutes (nor may the disk under them be full by nine tenths)'
  'watari_backup_newest_timestamp_seconds|no folder of backups is configured'
  'watari_nats_voters|one NATS server is no cluster'
  'watari_site_on_battery|no UPS is configured'
  'watari_ups_runtime_seconds|no UPS is configured'
)

# prometheus PATH [CURL'S ARGUMENTS…]: asks its API.
prometheus() { from_client curl -fsS -m 5 "$PROMETHEUS/api/v1/$1" "${@:2}" </dev/null; }
# first_of METRIC LABEL: the first value of a label.
first_of() {
  prometheus query -G --data-urlencode "query=group by ($2) ($1)" |
    jq -er --arg name "$2" '[.data.result[].metric[$name]] | sort | first // empty'
}
is_found() { first_of "$@" >/dev/null; }

# gather_questions: all that the dashboards ask, without what it falls back on, as a list in $asked; none of it is answered
# yet ($unanswered). A dashboard may ask about one site or server, as its variables say: it is asked about all where it can
# be, else about the first that there is.
gather_questions() {
  local board questions variable metric label value
  asked='[]'
  for board in deploy/grafana/dashboards/*.json; do
    questions=$(jq -c '[.panels[].targets[]?.expr]' "$board")
    while read -r variable metric label value; do
      if [ "$value" = - ]; then
        within 40 is_found "$metric" "$label" || die "no value of the variable $variable of $board within 40 s"
        value=$(first_of "$metric" "$label")
      fi
      questions=$(jq -c --arg variable "$variable" --arg value "$value" 'map(gsub("[$]\($variable)\\b"; $value))' <<<"$questions")
    done < <(jq -r '.templating.list[]? | (.definition | capture("^label_values\\((?<metric>\\w+), (?<label>\\w+)\\)$")) as $of |
      "\(.name) \($of.metric) \($of.label) \(.allValue // "-")"' "$board")
    asked=$(jq -c --argjson more "$questions" '. + $more' <<<"$asked")
  done
  asked=$(jq -c 'map(sub(" or (on \\(\\) )?vector\\(0\\)$"; "") | sub(" or 0 [*] .*$"; "")) | unique' <<<"$asked")
  [ "$(jq length <<<"$asked")" -gt 100 ] || die "the dashboards ask for hardly anything: $asked"
  jq -e 'all(test(" or (on \\(\\) )?(vector\\(|[0-9])") | not)' <<<"$asked" >/dev/null ||
    die "a question of the dashboards falls back on something in a way that is not known here: $asked"
  unanswered=$asked missing=$asked
}

# ask_again: asks all at once what has had no answer so far. A quotient of nothing (NaN) is none.
ask_again() {
  [ "$unanswered" != '[]' ] || return 0
  unanswered=$(jq -r --arg at "$PROMETHEUS" '.[] | "url = \"\($at)/api/v1/query?query=\(@uri)\""' <<<"$unanswered" |
    from_client curl -sS -m 5 --fail-early -K - |
    jq -cs --argjson asked "$unanswered" '[$asked, .] | transpose | map(select(all(.[1].data.result[]?.value[1]; . == "NaN")) | .[0])')
}
# has_answered METRIC: whether each question that names it has been answered by now.
has_answered() {
  ask_again && jq -e --arg name "$1" 'all(test("\\b\($name)\\b") | not)' <<<"$unanswered" >/dev/null
}
silent_names() { printf '%s\n' "${SILENT[@]%%|*}" | jq -Rnc '[inputs]'; }
# all_answer: whether all have been answered but what names one of SILENT; $missing are those that were not.
all_answer() {
  ask_again &&
    missing=$(jq -c --argjson silent "$(silent_names)" 'map(select(. as $one | all($silent[]; . as $name | $one | test("\\b\($name)\\b") | not)))' <<<"$unanswered") &&
    [ "$missing" = '[]' ]
}
# check_silent: fails if one of SILENT is asked for by nobody, or is not silent.
check_silent() {
  local entry
  for entry in "${SILENT[@]}"; do
    jq -e --arg name "${entry%%|*}" 'any(test("\\b\($name)\\b"))' <<<"$asked" >/dev/null ||
      die "no dashboard asks for ${entry%%|*}, which deploy/grafana/answers.sh says is silent"
    jq -e --arg name "${entry%%|*}" --argjson unanswered "$unanswered" '. - $unanswered | any(test("\\b\($name)\\b")) | not' <<<"$asked" >/dev/null ||
      die "${entry%%|*} has data, though ${entry#*|}: mend what is wrong, or deploy/grafana/answers.sh"
  done
}
