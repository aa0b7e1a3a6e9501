# The names that the cloud knows where one is to be typed. Where nobody tells them within a second, everything is as
# without.
_watari_names() {
    local -a names
    names=(${(f)"$(watari names -- "${watari_words[@]}" 2>/dev/null)"})
    if (( $#names )); then
        compadd -a names
    else
        _default
    fi
}
