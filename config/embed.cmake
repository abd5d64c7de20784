# Called at build time: writes ${OUTPUT}, which defines ${SYMBOL}() over the contents of ${FILES}.
# A text is split into literals of at most 8,000 characters, because compilers may refuse longer ones.
set(body "")
foreach(file IN LISTS FILES)
    get_filename_component(name ${file} NAME)
    file(READ ${file} text)
    string(LENGTH "${text}" length)
    set(pieces "")
    set(at 0)
    while(at LESS length)
        string(SUBSTRING "${text}" ${at} 8000 piece)
        string(APPEND pieces "R\"zgoda~(${piece})zgoda~\"\n")
        math(EXPR at "${at} + 8000")
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
