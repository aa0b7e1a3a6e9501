
# In place of files and options, the names that the cloud knows where one is to be typed. Where nobody tells them within a
# second, everything is as without.
_watari_named() {
    _watari "$@"
    local IFS=$'\n' names
    names=($(watari names -- "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null))
    [ "${#names[@]}" -eq 0 ] || COMPREPLY=("${names[@]}")
}
