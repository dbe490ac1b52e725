# Sourced by bash before the user data: writes down which line is being carried out.
unset BASH_ENV
exec {BASH_XTRACEFD}>> /rehearse/trace
PS4='+rehearse:${BASH_SOURCE[0]##*/}:${LINENO}:'
set -x
