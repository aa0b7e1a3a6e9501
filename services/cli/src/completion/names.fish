
# The names that the cloud knows where one is to be typed. Where nobody tells them within a second, everything is as
# without.
function __fish_watari_names
    set -l words (commandline -opc)
    set -e words[1]
    set -l last (commandline -ct)
    set -g __fish_watari_known (watari names -- $words "$last" 2>/dev/null)
    set -q __fish_watari_known[1]
end
complete -c watari -n __fish_watari_names -f -a '$__fish_watari_known'

# An option's value: a name, else what it was without.
function __fish_watari_values
    if __fish_watari_names
        string join \n $__fish_watari_known
    else
        __fish_complete_path (string replace -r -- '^--[a-z0-9-]+=' '' (commandline -ct))
    end
end
