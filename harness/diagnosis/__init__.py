"""What a port that is wrong may have got wrong: the catalogue of mistakes, tried one by one."""
