# Called at build time: writes ${OUTPUT}, which defines ${SYMBOL}() over the contents of ${FILES}.
# A text is split, at the ends of lines, into literals of at most 8,000 characters, because compilers may refuse longer ones.
set(body "")
foreach(file IN LISTS FILES)
    get_filename_component(name ${file} NAME)
    file(READ ${file} text)
    string(LENGTH "${text}" length)
    set(pieces "")
    set(at 0)
    while(at LESS length)
        string(SUBSTRING "${text}" ${at} 8000 piece)
        math(EXPR end "${at} + 8000")
        if(end LESS length)  # at a line's end, or a letter of several bytes could be cut in two
            string(FIND "${piece}" "\n" line REVERSE)
            math(EXPR line "${line} + 1")
            string(SUBSTRING "${piece}" 0 ${line} piece)
            math(EXPR end "${at} + ${line}")
        endif()
        string(APPEND pieces "R\"zgoda~(${piece})zgoda~\"\n")
        set(at ${end})
    endwhile()
    if(NOT pieces)
        set(pieces "\"\"")
    endif()
    string(APPEND body "        {\"${name}\", ${pieces}},\n")
endforeach()
file(WRITE ${OUTPUT} "#include \"${HEADER}\"\n
const std::map<std::string_view, std::string_view>& ${SYMBOL}() {
    static const std::map<std::string_view, std::string_view> files{
${body}    };
    return files;
}
")
