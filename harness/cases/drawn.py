"""Numbers that look random, and are the same for ever: no generator has to draw them again.

They were drawn once by ``numpy.random.RandomState`` of the seeds 0, 1 and 2, and are kept as the
bytes of float64 numbers, in base 64.
"""

import base64

import numpy as np


def _numbers(text: str) -> np.ndarray:
    return np.frombuffer(base64.b64decode(text), "<f8").astype(np.float64)


# 256, distributed as N(0, 1).
NORMAL = _numbers(
    "pc/l8445/D9Ticz6LJzZP6vJIlLSUe8/TjHjaVntAUDaPbF8hOH9P4KMpULcRe+/6ZUy0x9n7j82hNNJrF/Dv1m0"
    "yPiMbLq/Ziln8D5H2j/t4aoNBXDCP/eF/Uu0RPc/E+qQyWta6D+Qs5MIGCa/P8t1IlVBaNw/5JXlkOta1T87mU11"
    "v+f3P7ZqsECgQsq/hJEBHU0J1D/whX6WwFTrvzo6sOyFbATAZilvi3Hq5D9skHIadqnrP9kvXNvQv+e/vcW/HHUo"
    "AkANOg3xFEX3v111pQ6pbac/OKQZ8aP1x7/Hh1p/Q4b4Pw4AbVd+gvc/z9v7NlHVwz8z6pCR0DPYP8qj/ae9aOy/"
    "eN0wo1ex/79FKc9RMUTWv+5OiDY+A8Q/RcnkR0Wv8z8kYP6m8jzzP/hgaGv2ydi/9Y/Nou1Y079TZFF538bwv12s"
    "frpkuPa/YPyt+OFM+7/MysVCYDb/PzarnhcST+C/Zdaoy2gJ3L9u678lcwv0v1EcaHQz4eg/BIqljIbS+b+jygfR"
    "EjvLvyKhX32pp+y/mvXCsQLD2D8/lg8EhFjgv66StpLe4/K/E/UrVM3bnL9Cz/ATymnbP7Wnwc5FB7E/ORcwF7Nb"
    "0z/5re/YXUzkv3r4NLkmN9e/pKPhxcuE5b+mXH9D6wLXv2fWB1pLBeq/drGKgdqe+79PuDdb5rXGP4XtSmPHttm/"
    "FWaj3EoV+r+Jvyl3OZ7dP6ywV5SWCO2/CpA+QJaYqj8p/gu7tVTnP2UVuRODgsA/sXRSNvw68j8Rziq42MHzv25M"
    "qyf3v9k/3OYR2vbp5b969aX7kd3rv9zWbrvvheK/iEYeCHrw078+PxcotMGsP32q0Sh0pPK/fNeaEZLT7D+ci2fV"
    "ac3dP170c0J0lPi/ctZIiOHP9z+TRH7jj1X+P3wttfdH3PI/Cq/G6sYHx7+d5zeAzSHxv0sUJsYI3/A/SA9wrqbN"
    "2b/gLuePIo/zP1ImtSXBqMo/Ujk2gqBA7z9KeVABtc7WP2GyM1U/nOY/zHLT7AiBhT+LeGPw7JL8PwSC0MunPsA/"
    "NW5VmDG62T9NvRSgYiH+P1vpJ85rkPW/m+DoE+hT9L9ZcMw+TAXvPxozMgwdxfK/xNJChxIZ/z/KjNe+u3jav2IH"
    "TFom6+e/P2W9217E/j8lSCdHMLD3P1skJoGF4f0/y0MAXlH+7D/lH/kqKY/rv+y8rESgj/4/Rg1dnPcm0b9pKw0J"
    "ua3pP9kd1VvjT+4/lgEw6F7Xw78oHJnHiabjP/f/0JC3gu0/x1dsHFsX2D8vF4xIJZfxv4uPKJFVFtM/x1cCa+A4"
    "9T8JxExg5jnmv2yYh4A5J8O/yX1YSI7Z27/69jeQlZb9P22AVEtwg+U/7INBz9oT2j/kCA0JJ6PovwvFH4WHQeE/"
    "NL2EFiKU5b9bgJpNGEygPy+r/d/ZWOS/ShD3b1el5T+UH5GVbnPiP16jgJuIqcq/AzX4iSxY2T8aOYgQLn3xv/RQ"
    "6esw3Pe/wyjEXv4e3D8fFd6djlXFP4JFrHItUuQ/LWQtNa4QA0Diu4sLLTnuP/cGq/TWNe2/OomneEzf8T9hYMvt"
    "9A31v2QKgSeait2/W4gYJ0h4sb+3LcUO2mn7PyyQhxAI1ee/VTn2Oy9y6r/ZqZ1ELzS5vwQBsdA2O+W/2CN/Y7MG"
    "8j8jdOVCZkfxv26n9BYIXPK/fHptXT4F3L/dfQSAw9/fv4WkuwBd3/4/GGt8vqdh7j+hPXkWwmm2P8O3S0Zim/O/"
    "tSEzgQUF6z9n7d/O4QDwv0x0x+Vht/i/mjoNhysC8z9iRDuqyUjUP4Pki+ysd+0/vCZuqwhm1D/krQoIKGvrP/uo"
    "AqAz1eS/zmHZOEKM8L/44KROn8/lP/xXHS+Item/d9YMssoQ5r+/zjfNcSfdv8guf4EO5pE/G0f0E9an1r8zLG3t"
    "zP/1vy+s6J6FmOS/jQSFl4fJAcDo9FJj5QHkP9cyUjUHovm/unpR3Y2r8b+XmNaaYbWqP3yjWgSAque/lFyIEjCw"
    "+D+mtxq6iq/0v21HjodcF9E/hOIpp+AcpL/Ef7fOgrDyv6fO97GuvuA/YpYs7Tr1xb9sYhoZgrLoP7meLGIlWuo/"
    "YIk9pk5OAUDUTpAha2L1P59bD9ysoNe/7xeEFfqjzr9pFRGpNJjxPxmstqTr9+Q/jUk3HPV75D8pJxZNDd/5v7dr"
    "7ZLy6Ji/8DdP//Kd57/NJI/dSOrRP2Ytm0liILm/lIh4hC8g7T/nS/ygTU3UPzUHJkKZKek/snyte8/Z3b/5879a"
    "5zjuv76LghFBPtq/39qYo8xtkb/dkBukBUTYP+I3NpIQEwJAHyTPuLqipb+OhDz4GZfuvw0E6b6QJNa/z2Fqc46r"
    "3b9mKd+rl9DeP5EGLcUap/i/BpArJPAxsD+/8hX/ZwjEP02knbIbuM0/wpuyljYd47/IqBwgOHTOv9t4eRf0yPa/"
    "R3Vgj42S37+/ALgHH1/hv4ZLjF+QoNo/aChOJrl/8r+iVVEpk//oP3Z8L6Bo6fc/liQNT1SPAMDw4xSz0kfbP0lY"
    "Gwo7qeU/8DNAVeJl5L+Yi4rC5mzZv205gRM7AsG/0PUEegEP079ZOQZV3sbTv1CKAl7p0Pq/qEUOOfNv8j83Og8l"
    "HkbxP9+NoHsUB+q/gIcfW3l2978ir24/kKzgPxbgeOTabOK/NGQDcYUrwj+UlRR14G/Uv51r+N8VIeY/T6ZdjmI7"
    "5j8="
)
# 128 from 0 to below 1.
UNIFORM = _numbers(
    "Bjz6D32w2j9R8Lrz5QznPwDAYWaQ+x0/9Aj+t2pZ0z88Bcej5cjCPxDKsIyAo7c/5OE05l/Xxz/Oo1u9qh3WP+j7"
    "e2ejZNk/VJ9il/w94T+KlYE6FdTaPycjGXJR7eU/DGIYx30ryj9KFuu8iRnsP8CsZ0R+C5w/qeWnR3h05T/+Wqgz"
    "H7XaPwsJuX3J4OE/3KoG/zL4wT9ESHS8Y1vJP18n3RKzn+k/EAY2s//77j9YDr5IJA/UP5SWEsKBJ+Y/3sd1Q2EL"
    "7D/jC1EnnqDsP1gcjBp1xbU/kKZ5Ef3+oz/8qPLQAL3FP+eerk6+Gew/iGT6EkItuT8ujF9lbfPaP7irpfEHp+4/"
    "yErKpLAP4T+slCh52yPmP+API3loMdQ/MB0iy9D35T+VcKblQLXqP6C5X4QpupI/twF/pi4B6D+xfaQCwKTvP8Co"
    "MRn58Oc/9q6RW8vy0T+edOO4xkHpP9D/WAIFbbo/IADBm0mq3D/7emLgNhPtPyIaOv+SytI/arf0QOlq0j8IlGW4"
    "xqTAP4AotIru1JM/st2qSwW55T9QMpFOoRbLP3g1ZGq3/tA/NNSsRO913z8Q5zfkVVKrPz+sdOIrX+I/VPhNfwDI"
    "wj8SPgtJl9viP06P7KRrZOY/kAIS0ZYyuj8qeZmv5H/aP53k+K2GOOY/XCZTxOmB2j8wtf3wf5OpPxxvLjgQJuE/"
    "R1OPRM495T/Yayu7+HngPz+EHsgeOu4/C1KIEw/F4j9hxCkiq+jsP0TtKmfFmME/QDBGrs7TwT94pYJBJtbpP5qx"
    "ToyJc9k/8NBvilMqxT9o7nF5Jq7tP+5skbzLQdY/ASWNGqcG6D+wWIEgYDvnP/3EwiILROw/nkuXah/14z8Cb2pt"
    "uAfoP+4ZG7ZZVNY/TC3aon9G0T/z2gKTGavsP/D8DJfYZds/AvMLPPjf7j9NEP6p6TrlPyKQS2zu5OM/2LQu+f1f"
    "vT/dmkFMN2LuP/Ss10Jcy9w/53DE7yqC4j9O1gnT6R7aP6zrNGzmVs4//xwWK3zo7D/YlzQVlVviPwDuSBeDg2c/"
    "opmcsKa/4z/SCqEEwOfUP2Q5CfSo3eA/Pg/WPqNZ7D9S38P7gd3WP1rxDk+4Eu0/MJze6ZDy4z9AoG6icTOQPzin"
    "Uyfzve0/ho402tMb5j9xw0ecEervP/xBj/dAD8Y/XF3iC6qNwT8ikMRw0tftP3l025lVTOY/0CFfJ2PlsD8Kcgja"
    "wCzoP+6S1fTAH+g/z3wywGqJ7T+HUBOSz8TmP+BNg8U40L8/wGS6MnVblD9gJb6NDdeaP4B2QUFg/Jw/jFiiIdiD"
    "zz+lpSdVWYXrPxdS7aQaPuE/V+Tet7ew4T+d/xzF6vHqPw=="
)
# 256 others.
UNIFORM_TOO = _numbers(
    "UAx7KVfn2z8guzz3Z4yaP+R5ysPVluE/IsTgc1Lc2z9odZBaTufaPwxEPKk0JNU/pIouK+0xyj9Q1HpYEdHjP+ij"
    "4cuKLdM/zNgPtbIT0T853UUPVODjPypru2a77uA/RBv6Z+o5wT9O4VhiO2/gPwAdhLu5m8c/uLMILXch6T/4UC/+"
    "w1PrP5oqQouTod8/dTu1HAgX6z+IOgdfpWO0P5QlMNn5KuA/qDg2yZ22sD/C9u0wW2bbPzi10AVAtrg/YJzoJ8dG"
    "wD/vV0OeiRjjPwijjBP27cw/oEmP2Mpguz9gpzxp/jLMP76zV8mNY9Y/1JTw6jrw3T/cr3/XuNLJP/T3nT42fuQ/"
    "bj9Yvp3q3j+r+aYy5irgPxx852TZwtg/56H2X3pl6T85WnrsZI/iP3SFYFIzxsQ/W7xoL5Bs5j8mwQk6mt3uPwF8"
    "3ogRAOA/zBr5x/J27D+uuoWC/9zVP1nxCHELJuI/5DB5vulc2z/AU9TKqvPbPxoS36WS2eg/38AYXasj4T9xWzFr"
    "DoXuP4CtQTsnauE/uMFWPiwEtT+KRJVmJ3LXP6GAD9YqOus/rprECWkA2j8gnpHf79qbPySU5/aAo88/+PtsnF8w"
    "sT8tyMO7os3vP6QVA3L+Du8/G+TOZreb6T+/f9P6FULjP/eQ7BmNeug/7HFd7y2pxT9+fmiD5MDSP4mfSuUnxeA/"
    "wG4Ypu7S1j+wL7C7O2OnP1VJ2Db+de8/vLIjtCg/3D/ssomHxSDgP5TXbaTmtNQ/4NGWdKif0D9+xibLzcLYP6vI"
    "tOfhn+o/b60FkG6T5z8E99Nl/ETYP0CrElvVqIo/KwvaXFeE6T+gbuWCqj3RPyZhg8dapeI/YHaBrgYqmj+sSANK"
    "wjDlP+LQIw4vzdg/kNhQnw7Q3z/UZpw20Y3aP7ZBS2uvdNY/nvuFapyh4T8THl6ZFSLvPxjUNuzm3rw/AB6zf20M"
    "1D9QrmhpgmalP37V1If4oOc/J7w2a1cK5T+ckKsjL3nLPxKbCJ8WrNo/XbdeZlqa5D9WCiXj2irlP+Cpg9gx0sU/"
    "kIffv3427D+ewExeceXoP4wmoVdpJcE/5T6vPSrO6z8BW2UG/fXnP1khbYADjuk/QXR5iRVj4T9o8XOzakTMP46V"
    "OmMDZO0/vGAxW1vy4j9ksm8MwyjWPypCKVe/4dA/c3C3q8s+7T90MdIf8tzaP3S+q7c/SeE/tPgosFt44z8Eae56"
    "o3DqPwjjlcc69OM/AMFnDYGexj8eVCWKlOviP3oPkgojUN8/wMmW5XWI4T8GGRwReWLmPzjf+n69ds8/XH1r92Xj"
    "xz9480VbLU+8P2C/s9EvitE/QBkIAPn9hD8yIF8AtyPkP2qjZmEa5NI/9Nw8aAH5xz+A4Sg8zGS4P/xARx4OKdI/"
    "xCV6aKSCyz/o0TDiVEfSP+QINkCUK94/5ZR6W3qV4T9iDBqpKgvrPwaylBjfoe8/AKpY4DwFqT84jFwFDbbNP3yT"
    "pdgBluQ/MDaCs++qxD8VmFgzPNjrP6SLhrvX08s/Ubk0EHW85z8aO35Gi+XkP8QjJVl4kOk/ID0JaFz/nz8E5buI"
    "rmLNP2G1EvhOjOY/qPmDIH9qtj8gQK932VKfP2LrH3tM29Y/4YKke37f4j/gHnL077yqP2hQ5IJVz7A/wGjtlslF"
    "pj+s4SZoJkrZP87TzB3BY+U/aGN80PNYyT+r1xTxXwrsPwJKBVBDrNs/4ye8VRrU4z9iiLIMWpbSP7jK91sqsOM/"
    "K/m95WGE7j9SQObqRazcP1xU+O2bgMo/3mPhuzc52z/ubfOd53PcPwJIBAdnPuA/nHNLic7S4D9A/w9vR7mlP/As"
    "+EKvC8U/HoYOqYXQ3D8TNgoos6fmP3n+fQkA4ug/ZQ8LHAfe6D8502R3wxbgP7YA+SCtne4/ILJwPWs91T88yGrl"
    "NdDeP1YWiweu8uc/UUCd3Gtz6z9e1JJ3g4baPyjLLG1sKOs/0o7krdlz3D+w8+ZtZufmP4C7NCpgTYE/wP3p6WbO"
    "mT+KpiiiKxjuP2BhVWu2Jbo/pDReE9cu5T/qIkFI6SDSP4hxFbEztck/3oMGnXfa2D+hLopi/KDtP+01FLOvP+I/"
    "YfvD4blV7T9TEm/b8njmP47ShhX3CeA/de/bA90x4D/QHXzMUQLMP4BcGdoOGnM/Gs/EOtS92j98HyhWLQfiPyOQ"
    "uXnLDOw/jGohZ8au5T/QV6tuZPTqP+E9xf4co+0/kBdgCZ8d7j8CmU0y1BzqPyTYs9aJ0cA/un2MqC8v1j+Qjo+x"
    "NbDKPy665+yWwes/PbFx58Ra6T+EMz/6ClbWP0s5gDRmNuI/BgtMOKPD6T+kqk3FQanqP+SwHHxyV8o/OwWjcbth"
    "5z8CqAafkbXpP6CXSlECFaY/oL+3O6Jwuz8uwMoXadjbPxihGPzVRcw/WCnKUw4u7D8Br7sorgfnPwsA86v00OY/"
    "zWMpuLCi6D/8ZSmT9SrVP1ylk8kZQ80/HxmafAIL5D9GQmX504baP5s+mEwc+u0/Ao4NYPiO5D/KJwOo+cLYP3NC"
    "KugjXes/jLVn2+de2D9wK24/29LGPyASu6BaA+k/ntb1Xao43j9gobeyU5vQP+m3mnYiKOY/3ICQPiJg7z8M1JHT"
    "PIXPP2RCAF+tSek/5/nQ4Qxl6D+Y4Z6F7bq+P3MiBUFK2Oo/JBfOVSGN3T84bkG2mhnAP4jci8m5KeE/sKLgnRD6"
    "0j8="
)
